"""One run's config, composed: its ids, its folder, and the runs that it starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ppr.config.identity import ids
from ppr.config.inputs import names_seed
from ppr.config.places import results_root, run_path
from ppr.errors import BadRequest, choices


@dataclass(frozen=True)
class Config:
    """Resolved, checked, with every field's default filled in."""

    values: Mapping[str, Any]
    overrides: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    inputs: Mapping[str, Config] = field(default_factory=dict)
    """The runs whose results it takes, by the name it has for each."""

    @property
    def experiment(self) -> str:
        return str(self.values["experiment"])

    @property
    def seed(self) -> int:
        return int(self.values["seed"])

    @cached_property
    def variant(self) -> str:
        """Ten hexadecimal digits, which all its seeds share."""
        return self.ids()[0]

    @cached_property
    def run_id(self) -> str:
        return self.ids()[1](self.seed)

    def ids(self) -> tuple[str, Callable[[int], str]]:
        """The id of its variant, and by seed those of the variant's runs."""
        return ids(self.values, self._input_ids())

    def _input_ids(self) -> dict[str, str]:
        """Those of its inputs, so that a change in them shows in its own.

        An input's run id, or, where the input follows the seed of this run, its variant's.
        """
        said = self.values["inputs"]
        return {
            name: each.run_id if names_seed(said[name]) else each.variant
            for name, each in self.inputs.items()
        }

    @cached_property
    def folder(self) -> Path:
        """The run directory: where the run lies in the results tree, if it has been done."""
        root = results_root(self.values["results"]["root"])
        return run_path(root, self.experiment, self.variant, self.seed)

    def needed(self) -> Iterator[Config]:
        """Every run that must be finished before this one can start, in an order that works."""
        seen: set[tuple[str, str]] = set()
        for each in self.inputs.values():
            for one in (*each.needed(), each):
                key = one.experiment, one.run_id
                if key not in seen:
                    seen.add(key)
                    yield one

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


def find_input(inputs: Mapping[str, Config], name: str) -> Config:
    """One of a run's inputs.

    Raises:
        BadRequest: it has none of that name.
    """
    if name not in inputs:
        raise BadRequest(f"inputs.{name}: the config names none; {choices(name, inputs)}")
    return inputs[name]
