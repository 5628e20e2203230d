"""Metrics that pile up on the device and are read together."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Meter:
    """The values of the steps since the last reading."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}

    @property
    def steps(self) -> int:
        return max(map(len, self._values.values()), default=0)

    def add(self, values: dict[str, Tensor]) -> None:
        for key, value in values.items():
            self._values.setdefault(key, []).append(value)

    def extend(self, values: dict[str, Tensor]) -> None:
        """Add those of several steps at once, [steps] each."""
        for key, several in values.items():
            self._values.setdefault(key, []).extend(several.unbind())

    def read(self) -> dict[str, list[float]]:
        """Every step's values; waits for the device."""
        return {key: torch.stack(values).tolist() for key, values in self._values.items()}

    def first_nonfinite(self) -> int | None:
        """Which of the steps since the last reading first had a loss that is not finite."""
        losses = self.read().get("loss", [])
        return next((i for i, value in enumerate(losses) if not math.isfinite(value)), None)

    def flush(self) -> dict[str, float]:
        """Means over the steps since the last reading."""
        means = {key: math.fsum(values) / len(values) for key, values in self.read().items()}
        self._values.clear()
        return means

    def state(self) -> dict[str, list[float]]:
        return self.read()

    def load(self, state: dict[str, list[float]], device: torch.device) -> None:
        self._values = {
            key: list(torch.tensor(values, device=device).unbind()) for key, values in state.items()
        }
