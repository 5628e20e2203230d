"""The words of a command, in Hydra's override grammar.

Two things are read otherwise than Hydra does. The values of a range are those that its decimals
say: range(0.1,0.35,0.1) has 0.3, as 0.30000000000000004 would be another run. And a value in which
the grammar finds no meaning, as `~/data` or `experiment=a seed=1`, is the text that it is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    FloatRange,
    Glob,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from ppr.config.places import RESERVED, groups, options
from ppr.errors import BadRequest

_PLAIN = re.compile(r"(\+{0,2}[A-Za-z_][\w./]*)=([^\[\]{}()\"']+)\Z", re.DOTALL)
"""A word whose value has no brackets or quotes that could have been meant for the grammar."""


class _DecimalRange(RangeSweep):
    def range(self) -> range | FloatRange:
        ends = (self.start, self.stop, self.step)
        if all(isinstance(end, int) for end in ends):
            return super().range()
        return FloatRange(*(Decimal(repr(end)) for end in ends))


def parse(words: Sequence[str]) -> list[Override]:
    """Each word read.

    Raises:
        BadRequest: it is not of the grammar; one line.
    """
    parser = OverridesParser.create()
    return [_checked(_parse(parser, word)) for word in words]


def _parse(parser: OverridesParser, word: str) -> Override:
    plain = _PLAIN.match(word)
    try:
        return parser.parse_overrides([word])[0]
    except HydraException:
        if plain is None:
            what = "expected key=value, +key=value, ~key or group=option"
            if "=" in word:
                what += """; a value with signs of the grammar in it is quoted twice: 'key="…"'"""
            raise BadRequest(f"cannot read {word!r}: {what}") from None
    except RecursionError:
        raise BadRequest(f"cannot read {word!r}: nested too deeply") from None
    key, text = plain.groups()
    quoted = QuotedString(text, Quote.double).with_quotes()
    try:
        return parser.parse_overrides([f"{key}={quoted}"])[0]
    except HydraException:
        raise BadRequest(f"cannot read {word!r}: expected key=value") from None


def _checked(override: Override) -> Override:
    value: Any = override.value()
    line = override.input_line
    if isinstance(value, RangeSweep):
        if value.step == 0:
            raise BadRequest(f"{line}: a range needs a step other than 0")
        override._value = _DecimalRange(
            tags=value.tags, start=value.start, stop=value.stop, step=value.step,
            shuffle=value.shuffle,
        )  # fmt: skip
    if isinstance(value, ChoiceSweep) and override.key_or_group in groups():
        written = override.get_value_string().split(",")
        if value.simple_form and len(written) == len(value.list):
            value.list = [_word(_name(v, w.strip())) if not isinstance(v, list) else v
                          for v, w in zip(value.list, written, strict=True)]  # fmt: skip
    if isinstance(value, Glob):
        group = override.key_or_group
        if group not in groups():
            raise BadRequest(f"{line}: glob() goes over the options of a group; {group} is none")
        override._value = [_word(name) for name in value.filter([*options(group)])]
    return override


def _word(name: str) -> str | QuotedString:
    """An option's name as the grammar reads it back: quoted where it would be no text."""
    plain = re.fullmatch(r"[A-Za-z_][\w-]*", name) and name.lower() not in RESERVED
    return name if plain else QuotedString(name, Quote.double)


def option_text(override: Override) -> list[str]:
    """The options that a `group=option` names, as they are written: 2024, 1e3 or true is a name.

    None for `group=null`, `group=[]` and `~group`.
    """
    value = override._value
    if override.is_delete() or value is None or value == "null":
        return []
    if isinstance(value, list):
        parts = override.get_value_string().strip()[1:-1].split(",")
        written = [part.strip() for part in parts] if len(parts) == len(value) else []
        return [_name(item, text) for item, text in itertools.zip_longest(value, written)]
    return [_name(value, override.get_value_string().strip())]


def _name(value: object, written: str | None) -> str:
    if isinstance(value, QuotedString):
        return value.text
    return str(value) if written is None or isinstance(value, str | dict | list) else written


def expand(words: Sequence[str]) -> list[list[str]]:
    """A sweep's words as one list of words a run, in the order of the written product."""
    axes: list[list[str]] = []
    for override in parse(words):
        if override.is_sweep_override():
            key = override.input_line.split("=", 1)[0] if override.input_line else ""
            axes.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            axes.append([override.input_line or ""])
        if not axes[-1]:
            raise BadRequest(f"{override.input_line}: an empty sweep")
    return [list(point) for point in itertools.product(*axes)]
