"""Runs broken off, and compared with one that was not: for the tests of exact resume."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping

import torch

from ppr.engine.bench import Watcher
from ppr.results import tree


class StopsAtTheEnd(Watcher):
    """Asks to stop in the last validation, or breaks off in the final evaluation after it."""

    def __init__(self, asks: bool) -> None:
        self.asks, self.steps = asks, 0

    def started(self, steps: int, steps_per_epoch: int, at: int) -> None:
        self.steps = steps

    def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        if self.asks and step == self.steps:
            os.kill(os.getpid(), signal.SIGTERM)

    def phase(self, what: str) -> None:
        if what == "evaluating the last epoch":
            raise KeyboardInterrupt


class KilledAt(Watcher):
    """Breaks off as a kill would: no chance to save anything."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, epoch: float, values: Mapping[str, float], rate: float) -> None:
        if step >= self.step:
            raise KeyboardInterrupt


def results_of(config) -> tuple[dict, bytes, dict]:
    folder = config.folder
    weights = torch.load(folder / "model.pt", weights_only=True)
    summary = json.loads((folder / tree.SUMMARY).read_text())
    return weights, (folder / tree.METRICS).read_bytes(), summary


def assert_same_run(one, two) -> None:
    assert one[0].keys() == two[0].keys()
    assert all(torch.equal(one[0][key], two[0][key]) for key in one[0])
    assert one[1] == two[1]
    differing = {"cost", "finished", "digest"}  # times
    for key in (one[2].keys() | two[2].keys()) - differing:
        assert one[2][key] == two[2][key], key
