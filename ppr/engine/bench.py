"""What a task is built from and works with: its config, its data, its device, its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ppr import registry
from ppr.config.composed import Config
from ppr.config.settings import EngineSettings
from ppr.data.dataset import Dataset
from ppr.engine.interrupts import StopRequest
from ppr.errors import BadRequest


class Watcher:
    """Is told of a run's progress; the base class says nothing."""

    def started(self, steps: int, steps_per_epoch: int, at: int) -> None: ...

    def stepped(
        self, step: int, epoch: float, values: Mapping[str, float], rate: float
    ) -> None: ...

    def evaluated(self, step: int, epoch: float, values: Mapping[str, float]) -> None: ...

    def phase(self, what: str) -> None: ...


@dataclass
class Bench:
    """A run's workbench, handed to its task.

    `folder` is the run directory; `inputs` are the runs that this one starts from.
    """

    values: Mapping[str, Any]
    device: torch.device
    precision: str
    folder: Path
    settings: EngineSettings
    watcher: Watcher = field(default_factory=Watcher)
    stop: StopRequest = field(default_factory=StopRequest)
    inputs: Mapping[str, Config] = field(default_factory=dict)
    _dataset: Dataset | None = None

    @property
    def seed(self) -> int:
        return int(self.values["seed"])

    @property
    def dataset(self) -> Dataset:
        """The run's data: read on first use; random of the right shape under `data.synthetic`."""
        if self._dataset is None:
            source = self.build("dataset", self._data_root())
            synthetic = self.values["data"]["synthetic"]
            self._dataset = source.synthetic(synthetic) if synthetic else source.load()
        return self._dataset

    @dataset.setter
    def dataset(self, data: Dataset) -> None:
        """Take data that have been read already, for another seed of the same variant."""
        self._dataset = data

    def _data_root(self) -> Path | None:
        from ppr.config.places import data_root

        return data_root(self.values["data"]["root"])

    def chosen(self, kind: str) -> bool:
        return bool(self.values.get(kind))

    def build(self, kind: str, *parts: Any) -> Any:
        """Build the component that the config chose for `kind`.

        Raises:
            BadRequest: the config chose none.
        """
        node = self.values.get(kind)
        if not node:
            task = self.values["task"]["name"]
            raise BadRequest(f"{kind}: the task {task!r} needs one; choose it with {kind}=…")
        return registry.make(kind, node, *parts)

    def input_path(self, name: str) -> Path:
        """The directory of the finished run that the config names as an input (`inputs.teacher`).

        Raises:
            BadRequest: the config names no such input.
            RunFailed: that run has not been run to its end.
        """
        from ppr.results.finished import input_folder

        return input_folder(self.inputs, name)

    def evaluators(self) -> dict[str, Callable[[Any], dict[str, float]]]:
        """The evaluators that the config names; on a little random data, cut down to fit it."""
        synthetic = self.values["data"]["synthetic"]
        brief = {"epochs": 1, "k": 1, "labels_per_class": None} if synthetic else {}
        return {
            name: registry.make("evaluator", node | {k: v for k, v in brief.items() if k in node})
            for name, node in self.values["evaluator"].items()
        }


@dataclass(frozen=True)
class Outcome:
    """What a task hands back: metrics of the last epoch and, where they apply, the rest.

    `metrics`, `untrained` and `best["metrics"]` map an evaluator's name to its values.
    """

    metrics: Mapping[str, Mapping[str, float]]
    untrained: Mapping[str, Mapping[str, float]] | None = None
    best: Mapping[str, Any] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
