"""A tiny paper of two experiments that train in a blink, and one run that starts from another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import ppr.cli.compare
import ppr.cli.paper
import ppr.cli.plot
import ppr.cli.publish
import ppr.cli.reproduce
import ppr.cli.table
import ppr.cli.verify
from ppr import registry
from ppr.cli.papers import resolve
from ppr.config import places

EXPERIMENT = """# @package _global_
defaults:
  - override /task: classify
  - override /dataset: digits
  - override /augment: none
  - override /model: mlp
  - override /head: linear
  - override /loss: cross_entropy
  - override /optimizer: sgd
  - override /evaluator: [classifier]
  - _self_
scale: desk
model: {hidden: [16]}
optimizer: {lr: %s}
engine: {epochs: 1, batch_size: 250, device: cpu}
"""

PAPER = """title: A toy paper
year: 2020
family: toy
method: words
tables:
  main:
    title: Top-1 accuracy on digits
    scale: desk
    metric: classifier/top1
    unit: "%"
    rows: {Fast: fast, Slow: slow}
    columns: {digits: toy}
    cell: experiment=${column}_${row}
    seeds: 2
    universes: "not: a toy"
    reported: {source: "table 1", Fast: {digits: 60.0}}
  large:
    title: The same, at length
    scale: paper
    metric: classifier/top1
    rows: {Fast: fast}
    columns: {digits: toy}
    cell: experiment=${column}_${row} engine.epochs=100 scale=null
claims:
  better:
    says: the fast one is better
    kind: finding
    test: greater
    cells: [main.Fast, main.Slow]
  close:
    says: within ten points
    kind: finding
    test: matches
    cells: [main.Fast]
    tolerance: 10
"""

STUDENTS = """title: A paper of students
year: 2021
family: toy
method: words
tables:
  main:
    title: What the teacher knew
    scale: desk
    metric: copied/top1
    rows: {Student: toy_shared}
    columns: {digits: digits}
    cell: experiment=${row}
    seeds: 2
"""

STUDENT = """# @package _global_
defaults:
  - override /task: toy_student
scale: desk
inputs: {teacher: "%s"}
"""

PLUGIN = """
import json
from ppr.registry import component
from ppr.engine.bench import Bench, Outcome

@component("task", name="toy_student")
class Student:
    def __init__(self, bench: Bench) -> None:
        self.teacher = bench.input_path("teacher")

    def execute(self) -> Outcome:
        assert (self.teacher / "model.pt").exists()
        summary = json.loads((self.teacher / "summary.json").read_text())
        return Outcome({"copied": summary["metrics"]["classifier"]})
"""


INPUTS = {
    "toy_student": "experiment=toy_fast",
    "toy_shared": "experiment=toy_fast seed=0",
    "toy_pupil": "experiment=toy_student",
    "toy_last": "experiment=toy_pupil seed=2",
    "toy_ring": "experiment=toy_ring_back",
    "toy_ring_back": "experiment=toy_ring",
    "toy_lost": "experiment=toy_fats",
}
"""Experiments that start from another's run, and its words."""


def write_configs(configs: Path) -> Path:
    (configs / "experiment").mkdir(parents=True)
    (configs / "paper").mkdir()
    (configs / "experiment" / "toy_fast.yaml").write_text(EXPERIMENT % 0.5)
    (configs / "experiment" / "toy_slow.yaml").write_text(EXPERIMENT % 0.001)
    for name, words in INPUTS.items():
        (configs / "experiment" / f"{name}.yaml").write_text(STUDENT % words)
    (configs / "paper" / "toy.yaml").write_text(PAPER)
    (configs / "paper" / "toy_students.yaml").write_text(STUDENTS)
    (configs.parent / "plugin.py").write_text(PLUGIN)
    return configs


@contextmanager
def known(configs: Path, root: Path) -> Iterator[None]:
    """Let this process know the toy configs and components, and the results tree."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PPR_RESULTS", str(root))
        monkeypatch.setattr(places, "_own_folders", [configs])
        monkeypatch.setattr(registry, "_plugin_files", [])
        registry.add_plugin(configs.parent / "plugin.py")
        forget()
        yield
    registry._index.cache_clear()
    forget()


def forget() -> None:
    """What has been composed from other tests' configs."""
    for name in ("_kept", "_all", "_facts", "known"):
        vars(resolve).pop(name, None)


def invoke(name: str, *words: str) -> Result:
    """Run a command; its errors are raised, its exit code and output (both streams) returned."""
    command = getattr(ppr.cli, name).command
    codes: list[int | None] = []
    wrapped = click.Command(
        name,
        params=command.params,
        callback=lambda **given: codes.append(command.callback(**given)),
    )
    result = CliRunner().invoke(wrapped, words, catch_exceptions=False)
    result.exit_code = (codes[0] or 0) if codes else result.exit_code
    return result
