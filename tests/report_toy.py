"""Two papers and their runs for the tests of the site; the first is full of hostile text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from signed import write_signed

from ppr.errors import BadRequest
from ppr.report.site import write_site
from ppr.results.tree import scan

HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)> {{ 7*7 }} &amp; |`"""
EXPERIMENT = "<b>toy&amp;'x"
METRIC = '<i onclick="x">'
SEEDS = 3
VALUES = {"low": (0.50, 0.52, 0.54), "high": (0.81, 0.80, 0.82)}
LEARNING_RATES = {"low": 0.01, "high": 0.1, "swept": 1.0}
REPORTED = 82.5


def variant(row: str) -> str:
    return {"low": "a" * 10, "high": "b" * 10, "swept": "c" * 10, "empty": "d" * 10}[row]


def resolve(overrides: Sequence[str]) -> tuple[str, str]:
    row = overrides[1].partition("=")[2]
    if row == "unknown":
        raise BadRequest("experiment=unknown: no such experiment")
    return EXPERIMENT, variant(row)


def papers(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = {HOSTILE: "low", "High": "high", "Empty": "empty", "Unknown": "unknown"}
    table = {
        "title": HOSTILE,
        "scale": "desk",
        "metric": f"{METRIC}/top1",
        "unit": "%",
        "rows": rows,
        "columns": {f"column {HOSTILE}": "x", "second": {"value": "y", "metric": "knn/top1"}},
        "cell": "experiment=toy row=${row}",
        "seeds": SEEDS,
        "protocol": {"probe": HOSTILE},
        "reported": {"source": HOSTILE, "High": {f"column {HOSTILE}": REPORTED}},
    }
    claim = {
        "kind": "finding",
        "says": f"higher {HOSTILE}",
        "test": "greater",
        "cells": [f"a b.High.column {HOSTILE}", f"a b.{HOSTILE}.column {HOSTILE}"],
    }
    never = claim | {"cells": ["a b.Empty.second", "a b.High.second"]}
    check = {**claim, "kind": "identity", "test": "exact", "at_least": 0.0, "precision": 0.0}
    text = {
        "method": HOSTILE,
        "claims_in_words": [HOSTILE],
        "notes": [HOSTILE],
        "machinery": [HOSTILE],
    }
    (folder / "hostile.yaml").write_text(
        yaml.safe_dump({
            "title": HOSTILE, "year": 2020, "family": "family<&>", "kind": HOSTILE,
            "url": "javascript:alert(1)", "code": "https://example.org/?a=1&b=\"'>", **text,
            "findings": {"outcome": HOSTILE},
            "tables": {"a b": table}, "claims": {"greater": claim, "never": never, "check": check},
        }, sort_keys=False),
        encoding="utf-8",
    )  # fmt: skip
    planned = {"title": "Planned", "year": 2021, "family": "other", "method": "m"}
    (folder / "planned.yaml").write_text(yaml.safe_dump(planned, sort_keys=False))
    return folder


def runs(root: Path) -> Path:
    """Three seeds of two rows, one seed of a variant that no cell names, and one of NaN."""
    for row, values in {**VALUES, "swept": (0.7,)}.items():
        for seed, value in enumerate(values):
            run(root, row, seed, value)
    run(root, "high", 7, math.nan)
    return root


def run(root: Path, row: str, seed: int, value: float) -> None:
    folder = root / EXPERIMENT / variant(row) / f"seed={seed}"
    summary = {
        "schema": 1, "experiment": EXPERIMENT, "variant": variant(row), "seed": seed,
        "scale": "desk", "metrics": {METRIC: {"top1": value}, "knn": {"top1": value}},
        "protocol": {"epochs": HOSTILE}, "cost": {"seconds": 3.0, "device": HOSTILE},
        "code": {"version": HOSTILE, "commit": "0" * 40, "dirty": True},
    }  # fmt: skip
    config = {"experiment": EXPERIMENT, "seed": seed, "optimizer": {"lr": LEARNING_RATES[row]}}
    write_signed(folder, summary, config)
    log = [
        {"step": step, "epoch": float(step), "train/loss": value + 1 / step, f"x/{METRIC}": 1.0}
        for step in range(1, 9)
    ]
    log[3]["train/loss"] = None  # type: ignore[assignment]  # it was not finite
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))


def site(folder: Path) -> Path:
    """The site of the two papers, in `folder/site`."""
    where, root = papers(folder / "paper"), runs(folder / "results")
    write_site(folder / "site", root, [where], resolve, scan(root))
    return folder / "site"


def colours(style: str) -> dict[str, dict[str, str]]:
    """The style sheet's palette, light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in blocks)
    return {"light": light, "dark": dark}
