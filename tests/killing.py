"""Runs broken off, and compared with one that was not: for the tests of exact resume."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch

from ppr.engine.bench import Watcher
from ppr.results import tree
from ppr.run import run_directory


class KilledAt(Watcher):
    """Breaks off as a kill would: no chance to save anything."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, epoch: float, values: Mapping[str, float], rate: float) -> None:
        if step >= self.step:
            raise KeyboardInterrupt


def results_of(config) -> tuple[dict, bytes, dict]:
    folder = run_directory(config)
    weights = torch.load(folder / "model.pt", weights_only=True)
    summary = json.loads((folder / tree.SUMMARY).read_text())
    return weights, (folder / tree.METRICS).read_bytes(), summary


def assert_same_run(one, two) -> None:
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
    assert one[1] == two[1]
    for key in ("metrics", "untrained", "best", "run_id", "data"):
        assert one[2][key] == two[2][key]
