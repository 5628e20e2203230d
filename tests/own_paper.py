"""A paper of our own, with runs behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result
from signed import write_signed

from ppr.errors import BadRequest
from ppr.papers.cells import Results
from ppr.papers.files import load
from ppr.papers.schema import Paper
from ppr.report.sheet import Sheet, fill
from ppr.results.tree import scan

VARIANT = "0123456789"


TEXT = """\
title: A & B_1 <i>in</i> 50 % of $x
year: 2020
family: contrastive
method: words
claims_in_words: [a is better]
tables:
  main:
    title: "Top-1 | <script>alert(1)</script> #1"
    scale: desk
    metric: linear/top1
    unit: "%"
    rows: {A & B: a, "C_1 <b>": b, Untrained: {value: a, metric: "untrained/${metric}"}}
    columns: {"10 %": small, "x_y|z": large}
    cell: experiment=${row}_${column} loss.name=${row}
    seeds: 3
    universes: "not: a toy"
    protocol: {epoch: last, stem: 3x3}
    reported:
      source: "table_2 of B & C, {page} 7"
      selection: best test epoch
      A & B: {"10 %": 90.5}
claims:
  better:
    says: a is better
    kind: finding
    words: [0]
    test: greater
    cells: [main.A & B, main.C_1 <b>]
"""


def resolve(overrides: Sequence[str]) -> tuple[str, str]:
    experiment = overrides[0].removeprefix("experiment=")
    if experiment.endswith("_absent"):
        raise BadRequest(f"experiment={experiment}: no such experiment")
    return experiment, VARIANT


def write_run(root: Path, experiment: str, seed: int, value: float, **changes: object) -> Path:
    folder = root / experiment / VARIANT / f"seed={seed}"
    summary = {
        "schema": 1,
        "experiment": experiment,
        "variant": VARIANT,
        "seed": seed,
        "scale": "desk",
        "metrics": {"linear": {"top1": value}},
        "untrained": {"linear": {"top1": value / 2}},
        "best": None,
        "protocol": {"epochs": 100, "views": 2 if experiment == "a_small" else 1},
        "cost": {"seconds": 30.0},
        **changes,
    }
    return write_signed(folder, summary)


def mine(papers: Path) -> Paper:
    return load("mine", [papers])


def sheet(papers: Path, root: Path) -> Sheet:
    return fill(mine(papers), "main", Results(resolve, scan(root)))


def invoke(module: object, *words: str) -> Result:
    return CliRunner().invoke(module.command, words, catch_exceptions=False)  # type: ignore[attr-defined]
