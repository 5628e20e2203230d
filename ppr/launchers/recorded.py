"""How long recorded runs took: of a run's own variant, else of runs that do as much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ppr.config.composed import Config
from ppr.errors import RunFailed
from ppr.results import tree

_LENGTH = {
    "epochs": None, "max_steps": None, "batch_size": None, "devices": 1, "seeds_per_process": 1,
}  # fmt: skip
_ASIDE = ("launcher", "sweeper", "tracker")


def kind(experiment: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a run's time hangs on: runs that differ in a rate, a temperature or the seed share it.

    That a width or a depth is swept is not seen in it; of runs to measure the first stands for all.
    """
    components = [
        (group, node["name"])
        for group, node in sorted(values.items())
        if group not in _ASIDE and isinstance(node, Mapping) and isinstance(node.get("name"), str)
    ]
    engine = values.get("engine") or {}
    length = [engine.get(key, usual) for key, usual in _LENGTH.items()]
    return (experiment, values.get("scale"), *components, *length)


class Recorded:
    """The seconds of the finished runs of a results tree; of kinds, those of some experiments."""

    def __init__(self, root: Path, experiments: Collection[str]) -> None:
        self._seconds: dict[Any, list[float]] = defaultdict(list)
        for record in tree.records(root):
            seconds = tree.metrics(record.summary).get("cost/seconds")
            if seconds is None:
                continue
            self._seconds[record.variant].append(seconds)
            if record.experiment in experiments:
                try:
                    self._seconds[kind(record.experiment, record.config())].append(seconds)
                except RunFailed:  # its summary is all that can be read
                    continue

    def seconds(self, config: Config) -> float | None:
        """The median of runs of the same variant, else of the same kind; None if there is none."""
        keys: Sequence[Any] = (config.variant, kind(config.experiment, config.values))
        return next((median(self._seconds[key]) for key in keys if key in self._seconds), None)
