"""Runs of a toy experiment in a results tree."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from ppr.config.places import run_path
from ppr.results import tree

VARIANT = "0123456789"
NAMES = st.text("abcxyz_0189", min_size=1, max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def a_summary(experiment: str = "toy", variant: str = VARIANT, seed: int = 0, **more):
    summary = {
        "schema": 1,
        "experiment": experiment,
        "variant": variant,
        "seed": seed,
        "scale": "desk",
        "metrics": {"linear": {"top1": 0.9 + seed / 100}, "knn": {"top1": 0.8}},
        "untrained": {"linear": {"top1": 0.6}},
        "best": {"epoch": 3, "chosen_by": "validation/knn/top1", "metrics": {"knn": {"top1": 0.7}}},
        "cost": {"seconds": 12.5, "device": "cpu", "peak_memory_bytes": None},
    }
    return summary | more


def make_run(root: Path, summary: dict | None = None, config: str = "", **where) -> Path:
    place = {"experiment": "toy", "variant": VARIANT, "seed": 0} | where
    path = run_path(root, **place)
    path.mkdir(parents=True)
    temperature = 0.1 + place["seed"] / 10
    (path / tree.CONFIG).write_text(
        config or f"scale: desk\nloss: {{name: supcon, temperature: {temperature:.1f}}}\n"
    )
    (path / tree.ENVIRONMENT).write_text('{"python": "3.11"}')
    summary = a_summary(**place) if summary is None else summary
    if summary:
        (path / tree.SUMMARY).write_text(json.dumps(summary))
    return path


# Files
