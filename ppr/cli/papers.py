"""`ppr papers`: every paper of the catalogue and where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import click

from ppr.cli import options
from ppr.config.places import results_root
from ppr.display.terminal import Cell, print_table
from ppr.papers.board import Standing, board
from ppr.papers.cache import Variants
from ppr.papers.files import folders
from ppr.papers.kinds import added, findings, multiverse, others, summary
from ppr.papers.pairs import Pair, told
from ppr.papers.words import composed

resolve = Variants(composed)
"""The experiment and variant that a cell's overrides ask for."""


@click.command(name="papers")
@click.option("--family", metavar="NAME", help="Only the papers of one family.")
@options.results
@options.config_dir
@click.option("--reported", is_flag=True, help="The cells with a reported and a reproduced value.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, family: str | None, root: str | None, reported: bool, as_json: bool) -> None:
    """List every paper: family, what is implemented, scale reached, verdicts.

    Findings are the paper's sentences. Those reproduced are robust if their direction persists in
    every universe that their tables ask about, fragile if it turns in one. `contradicted` counts
    claims against the paper, `checks` what only a bug could break.

    \b
      ppr papers --family contrastive
      ppr papers --reported
      ppr papers --json

    --reported: a cell is `within` if its whole 95 % interval lies as near the reported value as
    that was read (half its last digit; what a figure allows), its own interval and the claim's
    tolerance allowed; `outside` if the whole lies beyond.
    """
    found = board(folders(), results_root(root), resolve, family)
    if reported:
        _print_pairs({paper.slug: standing.pairs for paper, standing in found}, as_json)
        return
    if as_json:
        papers = [
            {**asdict(paper), "path": str(paper.path), **asdict(standing)}
            for paper, standing in found
        ]
        click.echo(json.dumps({"papers": papers}, indent=2, ensure_ascii=False))
        return
    rows = [
        [
            paper.slug,
            paper.year or None,
            paper.family or None,
            implemented(standing) if paper.title else "cannot be read",
            standing.reached,
            _by_scale(standing),
            multiverse(added(standing.verdicts.values())) or None,
            others(added(standing.verdicts.values()), "against") or None,
            others(added(standing.verdicts.values()), "identity") or None,
        ]
        for paper, standing in found
    ]
    head = ["paper", "year", "family", "implemented", "reached"]
    print_table([*head, "findings", "of those reproduced", "contradicted", "checks"], rows)
    done = sum(bool(standing.scales) for _, standing in found)
    planned = sum(bool(paper.title) for paper, _ in found) - done
    click.echo(f"{done + planned} papers, {done} implemented, {planned} planned")
    for scale in sorted({scale for _, standing in found for scale in standing.verdicts}):
        counts = added(standing.verdicts.get(scale, {}) for _, standing in found)
        click.echo(f"{scale} scale: {summary(counts)}")
    for paper, standing in found:
        if standing.problem:
            click.echo(f"{paper.slug}: {standing.problem}")


def _print_pairs(found: Mapping[str, Sequence[Pair]], as_json: bool) -> None:
    """Every cell with both values, and how many lie where."""
    if as_json:
        cells = [{"paper": slug, **asdict(pair)} for slug, pairs in found.items() for pair in pairs]
        click.echo(json.dumps({"cells": cells}, indent=2, ensure_ascii=False))
        return
    head = ["cell", "reported", "reproduced", "n", "allowed", "falls"]
    for slug, pairs in found.items():
        rows: list[list[Cell]] = [
            [pair.cell, pair.reported, pair.reproduced, pair.n, f"{pair.allowed:.3g}", pair.fate]
            for pair in pairs
        ]
        if rows:
            print_table(head, rows, title=slug, styles={"within": "green", "outside": "red"})
            click.echo()
    click.echo(told(found.values()))


def implemented(standing: Standing) -> str:
    return ", ".join(standing.scales) or "planned"


def _by_scale(standing: Standing) -> str | None:
    """A desk-scale verdict never stands for a paper-scale one, so they are counted apart."""
    shown = [
        f"{scale}: {told}"
        for scale, counts in standing.verdicts.items()
        if (told := findings(counts))
    ]
    return "; ".join(shown) or None
