"""Metrics that pile up on the device and are read together."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class Meter:
    """The values of the steps since the last reading, and whether each step was sound.

    A step is sound if its loss and its gradient are finite.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self._numbers: list[int] = []
        self._sound: list[Tensor] = []

    @property
    def steps(self) -> int:
        return len(self._numbers)

    def add(self, number: int, values: dict[str, Tensor], sound: Tensor) -> None:
        """Note step `number`, counted from 1."""
        self._numbers.append(number)
        self._sound.append(sound)
        for key, value in values.items():
            self._values.setdefault(key, []).append(value)

    def extend(self, numbers: list[int], values: dict[str, Tensor], sound: Tensor) -> None:
        """Note several steps at once: values [steps] each, sound [steps]."""
        self._numbers.extend(numbers)
        self._sound.extend(sound.unbind())
        for key, several in values.items():
            self._values.setdefault(key, []).extend(several.unbind())

    def read(self) -> dict[str, list[float]]:
        """Every step's values; waits for the device."""
        return {key: torch.stack(values).tolist() for key, values in self._values.items()}

    def first_unsound(self) -> tuple[int, float] | None:
        """The number and the loss of the first step that was not sound."""
        if not self._sound:
            return None
        sound = torch.stack(self._sound).tolist()
        at = next((i for i, value in enumerate(sound) if not value), None)
        return None if at is None else (self._numbers[at], self._values["loss"][at].item())

    def flush(self) -> dict[str, float]:
        """Means over the steps since the last reading."""
        means = {key: math.fsum(values) / len(values) for key, values in self.read().items()}
        self._values.clear()
        self._numbers.clear()
        self._sound.clear()
        return means

    def state(self) -> dict[str, Any]:
        """What `load` takes; of steps that are known to be sound."""
        return {"numbers": list(self._numbers), "values": self.read()}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        self._numbers = list(state["numbers"])
        self._sound = [torch.ones((), dtype=torch.bool, device=device) for _ in self._numbers]
        self._values = {
            key: list(torch.tensor(values, device=device).unbind())
            for key, values in state["values"].items()
        }
