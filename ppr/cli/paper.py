"""`ppr paper`: one paper: reference, tables, claims with verdicts, experiments, files, cost."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ppr.cli import options
from ppr.cli.papers import resolve
from ppr.cli.words import PAPER
from ppr.commands import command_line
from ppr.config.places import results_root, shipped_configs
from ppr.display.terminal import Cell, print_table
from ppr.papers.board import fill_tables
from ppr.papers.cache import INDEX, papers_using
from ppr.papers.cells import Filled, Results
from ppr.papers.claim_schema import KINDS
from ppr.papers.claims import judge
from ppr.papers.files import find, folders, load
from ppr.papers.kinds import (
    described,
    is_untuned,
    named,
    sentences,
    summary,
    tally,
)
from ppr.papers.looks import duration
from ppr.papers.schema import Paper
from ppr.papers.table_schema import SCALES
from ppr.papers.tuned import table_choices
from ppr.papers.tuning import as_record, budgets, told
from ppr.papers.verdict import UNTUNED, Outcome, Verdict
from ppr.report.specification import curve, lines
from ppr.results.metrics import metrics
from ppr.results.tree import scan

_COLOURS: dict[Outcome, str] = {
    "reproduced": "green", "not reproduced": "red", "inconclusive": "yellow"
}  # fmt: skip
STYLES = {
    named(kind, outcome) + beside: style
    for kind in KINDS
    for outcome, style in _COLOURS.items()
    for untuned in ("", f", {UNTUNED}")
    for beside in (untuned, f"{untuned}, robust")
} | {
    f"{outcome}{untuned}, fragile": "yellow"
    for outcome in _COLOURS
    for untuned in ("", f", {UNTUNED}")
}


@click.command(name="paper")
@click.argument("slug", type=PAPER, metavar="PAPER")
@options.results
@options.config_dir
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--files", "only_files", is_flag=True, help="Print its files, one a line, no more.")
def command(*, slug: str, root: str | None, as_json: bool, only_files: bool) -> None:
    """Show one paper: what it says, its tables, its claims and what the runs say of them.

    \b
      ppr paper supcon
      ppr paper supcon --files

    Its files are its YAML and index, the configs and sources that its cells are made of, and the
    tests of its losses and of what no other paper uses.
    """
    paper = load(slug, folders())
    results = Results(resolve, scan(results_root(root)))
    tables, problems = fill_tables(paper, results)
    filled = [cell for found in tables.values() for cell in found]
    if only_files:
        own = find(slug, folders())
        index = own.parent / INDEX / f"{slug}.json"
        listed = {_shown(file) for file in (own, index, *_tests(slug, filled)) if file.is_file()}
        click.echo("\n".join(sorted(listed | {*_files(filled)})))
        return
    verdicts = judge(paper, results)
    files = [_shown(find(slug, folders())), *_files(filled)]
    costs = list(_costs(filled))
    choices = {name: found for name, cells in tables.items() if (found := table_choices(cells))}
    if as_json:
        shown: dict[str, Any] = paper.model_dump(mode="json", exclude_none=True)
        shown |= {
            "verdicts": [
                {
                    **asdict(verdict),
                    "kind": paper.claims[verdict.claim].kind,
                    "untuned": is_untuned(paper, verdict),
                }
                for verdict in verdicts
            ],
            "experiments": sorted({cell.experiment for cell in filled}),
            "files": files,
            "cost": costs,
            "tuning": {name: list(map(as_record, each)) for name, each in choices.items()},
            "problems": problems,
        }
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    _print_reference(paper)
    if verdicts:
        print_verdicts(paper, verdicts)
        print_curves(paper, verdicts)
    if paper.tables:
        _print_tables(paper)
    for name, each in choices.items():
        click.echo(f"\ntuning of {paper.slug}/{name}: {budgets(each)}")
        for choice in each:
            click.echo(_wrapped(told(choice), "  "))
    _print_texts(paper)
    if filled:
        click.echo("\nexperiments: " + ", ".join(sorted({cell.experiment for cell in filled})))
    click.echo(f"\nfile: {files[0]}; --json lists those behind its cells")
    for cost in costs:
        click.echo(f"\n{_cost_line(cost)}")
    for problem in problems:
        click.echo(f"\nyet to come: {problem}")


def _print_reference(paper: Paper) -> None:
    click.echo(f"{paper.title} ({paper.year})")
    facts = {
        "family": paper.family,
        "kind": paper.kind,
        "size": paper.size,
        "paper": paper.url,
        "code": paper.code,
        "method known from": paper.known_from,
    }
    click.echo("; ".join(f"{key}: {value}" for key, value in facts.items() if value))
    if paper.about:
        click.echo(_wrapped(paper.about, ""))


def _print_texts(paper: Paper) -> None:
    """What its file says in words; a trial's outcome only while no table has taken its place."""
    trial = (paper.findings or ()) if not paper.tables else ()
    texts = {
        "method": paper.method,
        "also described as": paper.second_reading,
        "compared with": paper.baseline,
        "claims in words": sentences(paper),
        "check": paper.check,
        "trial": [f"{key}: {value}" for key, value in trial if isinstance(value, str)],
        "at paper scale": paper.paper_scale,
        "machinery": ", ".join(paper.machinery),
        "notes": paper.notes,
    }
    for heading, text in texts.items():
        if text:
            click.echo(f"\n{heading}")
            for item in [text] if isinstance(text, str) else text:
                click.echo(_wrapped(item, "  " if isinstance(text, str) else "  - "))


def _wrapped(text: str, start: str) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    rest = " " * len(start)
    return textwrap.fill(
        text, width, initial_indent=start, subsequent_indent=rest, break_on_hyphens=False
    )


def _print_tables(paper: Paper) -> None:
    click.echo()
    rows: list[list[Cell]] = [
        [
            f"{paper.slug}/{name}",
            table.scale,
            f"{len(table.rows)} × {len(table.columns)}",
            ", ".join(map(str, table.plan)),
            table.settings,
            "yes" if table.reported else "no",
            table.title,
        ]
        for name, table in paper.tables.items()
    ]
    print_table(["table", "scale", "cells", "seeds", "settings", "reported", "title"], rows)


def print_verdicts(paper: Paper, verdicts: list[Verdict]) -> None:
    """The claims, findings first, each with its verdict and what that rests on; then the counts."""
    verdicts = sorted(verdicts, key=lambda v: KINDS.index(paper.claims[v.claim].kind))
    click.echo()
    rows: list[list[Cell]] = [
        [v.claim, paper.claims[v.claim].kind, v.scale, described(paper, v), v.says]
        for v in verdicts
    ]
    print_table(["claim", "kind", "scale", "verdict", "says"], rows, styles=STYLES)
    for scale, counts in tally(paper, verdicts).items():
        click.echo(f"{scale} scale: {summary(counts)}")
    for verdict in verdicts:
        if verdict.outcome != "not run":
            click.echo(_wrapped(f"{verdict.claim}: {verdict.reason}", "  "))


def print_curves(paper: Paper, verdicts: list[Verdict]) -> None:
    """The specification curve of each claim that has one, and what is wrong with a universe."""
    missing = False
    for verdict in verdicts:
        if verdict.multiverse.problem:
            click.echo(f"\n{verdict.claim}: {verdict.multiverse.problem}")
        if (found := curve(paper, verdict)) and (len(found.specs) > 1 or found.missing):
            click.echo("\n" + "\n".join(lines(found)))
            missing |= bool(found.missing)
    if missing:
        does = command_line("reproduce", paper.slug, "--part", "universes")
        click.echo(f"\nuniverses that have not run: {does}")


def _files(filled: list[Filled]) -> list[str]:
    """The configs that the cells compose and the source files of the components they name."""
    from ppr import registry
    from ppr.config.compose import compose

    found: dict[str, None] = {}
    for words in dict.fromkeys(cell.words for cell in filled):
        config = compose(words)
        found |= dict.fromkeys(str(file) for _, file in config.sources)
        for kind in registry.KINDS:
            node = config.values.get(kind) or {}
            parts = node.values() if kind == "evaluator" else [node]
            for part in parts:
                if part.get("name"):
                    found[str(registry.find(kind, part["name"]))] = None
    return sorted(_shown(Path(file)) for file in found)


def _tests(slug: str, filled: list[Filled]) -> Iterator[Path]:
    """The tests of the losses behind the cells, and those that name what no other paper uses."""
    from ppr.config.compose import compose

    folder = shipped_configs().parent / "tests"
    options, experiments = set(), {cell.experiment for cell in filled}
    for words in dict.fromkeys(cell.words for cell in filled):
        sources = compose(words).sources
        options |= {f"{g}/{Path(f).stem}" for g, f in sources if g not in ("config", "experiment")}
    losses = {name for group, _, name in (o.partition("/") for o in options) if group == "loss"}
    own = {name for name in experiments if papers_using([name]) == [slug]}
    own |= {each.partition("/")[2] for each in options if papers_using([], [each]) == [slug]}
    named = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(own))) if own else None
    for file in sorted(folder.rglob("*.py")):
        is_of_loss = file.parent.name == "losses" and file.stem in losses
        if is_of_loss or (named and named.search(file.read_text(encoding="utf-8"))):
            yield file


def _shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _costs(filled: list[Filled]) -> Iterator[dict[str, Any]]:
    """Runs and seconds by scale, measured where there are runs."""
    for scale in SCALES:
        # Cells that read different metrics of the same runs share them.
        variants = {f.words: f for f in filled if f.cell.table.scale == scale}
        if not variants:
            continue
        seconds = {
            record.path or (record.variant, record.seed): measured["cost/seconds"]
            for f in variants.values()
            for record in f.records
            if "cost/seconds" in (measured := metrics(record.summary))
        }
        missing = sum(len(f.missing_seeds) for f in variants.values())
        each = statistics.fmean(seconds.values()) if seconds else None
        stated = {f.cell.table.cost for f in variants.values() if f.cell.table.cost}
        yield {
            "scale": scale,
            "runs": sum(f.asked for f in variants.values()),
            "missing": missing,
            "seconds_each": each,
            "seconds_missing": each * missing if each is not None else None,
            "stated": "; ".join(sorted(stated)) or None,
        }


def _cost_line(cost: dict[str, Any]) -> str:
    line = f"cost at {cost['scale']} scale: {cost['runs']} runs, {cost['missing']} missing"
    if cost["seconds_each"] is not None:
        line += f"; {duration(cost['seconds_each'])} a run measured"
        if cost["missing"]:
            line += f", about {duration(cost['seconds_missing'])} to go"
    elif cost["stated"]:
        line += f"; {cost['stated']}"
    else:
        line += "; not measured yet"
    return line
