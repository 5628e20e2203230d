"""The space of a search, in Hydra's grammar: what each swept word lets a field be.

optimizer.lr=tag(log,interval(1e-4,1e-2))    a float, uniform in its logarithm
model.width=int(interval(16,64))             an integer, both ends included; tag(int,…) is the same
loss.temperature=range(0.1,0.5,0.1)          one of the values that Hydra lists
model=mlp,small_resnet                       one of these
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hydra.core.override_parser.types import IntervalSweep, Override, Sweep

from ppr.errors import BadRequest, choices

TAGS = ("log", "int", "draw")


@dataclass(frozen=True)
class Axis:
    """One swept word: an interval from `low` to `high`, or `listed`, a word with its values."""

    key: str
    line: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    listed: Override | None = None
    tagged: bool = False

    @cached_property
    def values(self) -> tuple[str, ...]:
        """What is listed, told apart only when asked: a range may have millions."""
        return tuple(self.listed.sweep_string_iterator()) if self.listed else ()

    @property
    def name(self) -> str:
        """The field, without Hydra's + before one that is added."""
        return self.key.lstrip("+")

    @property
    def continuous(self) -> bool:
        return self.listed is None

    def word(self, value: float | str) -> str:
        """The word that gives the field a value."""
        return f"{self.key}={int(value) if self.continuous and self.whole else value}"

    def first(self) -> str:
        """A word that gives the field a value it may have."""
        return self.word(
            next(iter(self.listed.sweep_string_iterator())) if self.listed else self.low
        )

    def ends(self) -> list[str]:
        """Words that show whether the axis can be had at all: its ends, or every value."""
        values = [self.low, self.high] if self.continuous else self.values
        return [self.word(value) for value in values]


def read_axes(overrides: Sequence[Override]) -> list[Axis]:
    """The swept words among `overrides`.

    Raises:
        BadRequest: a tag that there is not, or an interval that holds nothing.
    """
    return [_axis(override) for override in overrides if override.is_sweep_override()]


def _axis(override: Override) -> Axis:
    value, line = override.value(), str(override.input_line)
    tags = set(value.tags) if isinstance(value, Sweep) else set()
    for tag in sorted(tags - set(TAGS)):
        raise BadRequest(f"{line}: no such tag; {choices(tag, TAGS)}")
    key = override.get_key_element()
    if not isinstance(value, IntervalSweep):
        if tags - {"draw"}:
            raise BadRequest(f"{line}: tag {min(tags - {'draw'})} is for an interval(low,high)")
        return Axis(key, line, listed=override, tagged="draw" in tags)
    assert value.start is not None
    assert value.end is not None
    low, high = value.start, value.end
    whole = "int" in tags or (isinstance(low, int) and isinstance(high, int))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadRequest(f"{line}: an interval needs a low end below its high one, both finite")
    if "log" in tags and low <= 0:
        raise BadRequest(f"{line}: a logarithm needs a low end above 0")
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise BadRequest(f"{line}: an interval of integers needs whole numbers as its ends")
    return Axis(key, line, float(low), float(high), log="log" in tags, whole=whole)
