"""What a paper's file may say of the universes under which a finding's direction must persist.

A multiverse analysis asks whether a result hangs on choices that could as well have been made
otherwise (Steegen, Tuerlinckx, Gelman and Vanpaemel, Perspectives on Psychological Science 11,
2016). Here a universe is a few words put on top of those of each cell that a claim compares:

    universes:
      MNIST: dataset=mnist dataset.validation=300   # words as on the command line
      wider: "model.hidden*=2"                      # a field of each cell, times a factor
      by recall: metric=best/recommendation/recall  # the same runs by another metric
      another bootstrap: seed=1,2,3                 # the seeds of this universe
      longer: "not: converged, as every curve shows"     # a default of ppr/papers/defaults.py, off

A table says so for all its findings, a claim for itself. A table may also list those of the
defaults that it takes, `universes: [draw, lower_rate]`; a claim for which no universe makes sense
says why, `universes: "not: the theorem is of this point alone"`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from ppr.errors import choices
from ppr.papers.part import Part

DEFAULTS: Mapping[str, str] = {
    "longer": "four times the training",
    "higher_rate": "three times the learning rate",
    "lower_rate": "a third of the learning rate",
    "draw": "another draw or split of the data",
    "width": "another width of the network",
    "metric": "another metric of the same runs",
    "passes": "as many forward passes for each arm",
    "larger": "another size of the problem",
}
"""The universes that a kind of table has by itself (ppr/papers/defaults.py), and what each asks."""

_OFF = "not:"


class Universes(Part):
    """`named`: name -> words. `off`: default -> why it is not asked. `only`: the defaults taken,
    all if None. `none`: why there is no universe at all."""

    named: dict[str, str] = Field(default_factory=dict)
    off: dict[str, str] = Field(default_factory=dict)
    only: tuple[str, ...] | None = None
    none: str = ""

    @model_validator(mode="before")
    @classmethod
    def _of_any_form(cls, given: Any) -> Any:
        """A mapping of names, a list of defaults, or the reason why there is none."""
        if isinstance(given, str):
            return {"none": _reason("universes", given)}
        if isinstance(given, list):
            for name in given:
                _check_default(name)
            return {"only": tuple(given)}
        if not isinstance(given, Mapping):
            raise ValueError("a mapping of names to words, a list of defaults, or `not: why`")
        named, off = {}, {}
        for name, words in given.items():
            if not isinstance(words, str):
                raise ValueError(f"{name}={words!r}: words as on the command line, or `not: why`")
            if words.startswith(_OFF):
                _check_default(str(name))
                off[str(name)] = _reason(str(name), words)
            else:
                named[str(name)] = words
        return {"named": named, "off": off}

    @model_validator(mode="after")
    def _told_apart(self) -> Universes:
        seen: dict[tuple[str, ...], str] = {}
        for name, text in self.named.items():
            if name in DEFAULTS:
                raise ValueError(
                    f"{name}: is a default's name ({DEFAULTS[name]}); give yours another"
                )
            words = tuple(sorted(split(name, text)))
            if words in seen:
                raise ValueError(f"{name}: the same overrides as {seen[words]}")
            seen[words] = name
        return self

    def with_those_of(self, table: Universes) -> Universes:
        """A claim's own over its table's."""
        return Universes.model_construct(
            named=table.named | self.named,
            off=table.off | self.off,
            only=table.only if self.only is None else self.only,
            none=self.none or table.none,
        )


def split(name: str, text: str) -> list[str]:
    """The words of a universe.

    Raises:
        ValueError: there are none, or their quotes do not match.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{name}={text!r}: {str(error).lower()}") from None
    if not words:
        raise ValueError(f"{name}: no words, so it changes nothing")
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise ValueError(f"{name}={text!r}: {word!r} is no KEY=VALUE")
    return words


def _reason(name: str, text: str) -> str:
    reason = text.removeprefix(_OFF).strip()
    if not text.startswith(_OFF) or not reason:
        raise ValueError(f"{name}={text!r}: words, or `not: ` and why")
    return reason


def _check_default(name: Any) -> None:
    if name not in DEFAULTS:
        raise ValueError(f"no default universe {name!r}; {choices(str(name), DEFAULTS)}")
