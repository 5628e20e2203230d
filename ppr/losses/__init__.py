"""Losses: each stands alone in anyone's training loop, `from ppr.losses import SupConLoss`.

Names are looked up in the registry when first used, so a new loss needs no edit here and importing
this package imports no torch.
"""

from __future__ import annotations

from typing import Any

from ppr.errors import choices
from ppr.registry import describe, load, names


def _symbols() -> dict[str, str]:
    return {describe("loss", name).symbol: name for name in names("loss")}


def __getattr__(symbol: str) -> Any:
    if symbol.startswith("_"):
        raise AttributeError(symbol)
    known = _symbols()
    if symbol not in known:
        raise AttributeError(f"ppr.losses has no {symbol!r}: {choices(symbol, known)}")
    globals()[symbol] = load("loss", known[symbol])
    return globals()[symbol]


def __dir__() -> list[str]:
    return sorted(_symbols())
