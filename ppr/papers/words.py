"""The words of a cell, a universe's factors among them, as a config is composed of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppr.errors import BadRequest, choices

if TYPE_CHECKING:
    from ppr.config.composed import Config


_TIMES = re.compile(r"^(?P<key>[\w.]+)\*=(?P<factor>[-+.\de]+)$")


def factor(word: str) -> tuple[str, float] | None:
    """`optimizer.lr*=3` as ("optimizer.lr", 3.0); None for a word that says a value."""
    found = _TIMES.match(word)
    return (found["key"], float(found["factor"])) if found else None


def composed(words: Sequence[str]) -> Config:
    """The config of a cell; `optimizer.lr*=3` is three times what it is without that word.

    Raises:
        BadRequest: as `compose`; or a factor for what is no number, or is not there.
    """
    from ppr.config.compose import compose

    factors = [found for word in words if (found := factor(word))]
    plain = [word for word in words if not factor(word)]
    if not factors:
        return compose(plain)
    before = compose(plain).values
    return compose([*plain, *(f"{key}={_times(before, key, times)}" for key, times in factors)])


def _times(values: Mapping[str, Any], key: str, times: float) -> str:
    node: Any = values
    for name in key.split("."):
        if not isinstance(node, Mapping) or node.get(name) is None:
            known = list(map(str, node)) if isinstance(node, Mapping) else []
            raise BadRequest(f"{key}*={times:g}: no such key; {choices(name, known)}")
        node = node[name]
    parts = node if isinstance(node, list) else [node]
    if not parts or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in parts):
        raise BadRequest(f"{key}*={times:g}: {node!r} is no number")
    made = [str(round(v * times)) if isinstance(v, int) else f"{v * times:.6g}" for v in parts]
    return f"[{','.join(made)}]" if isinstance(node, list) else made[0]
