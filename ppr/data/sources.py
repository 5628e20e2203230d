"""The data sets that have a card, and what is known of each on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr import registry
from ppr.config.places import config_files
from ppr.config.yaml_files import read_yaml
from ppr.data import hub
from ppr.data.card import Card
from ppr.errors import BadRequest, choices

if TYPE_CHECKING:
    from ppr.data.source import ArraySource


def sources(names: Iterable[str], root: str | None) -> dict[str, ArraySource]:
    """The data sets with a card of their own (`hub_images` is many), or those named.

    One of the user's own (`folder`, `parquet`) is what lies in `root`.
    """
    kinds = {name: registry.load("dataset", name) for name in registry.names("dataset")}
    known = {name: k for name, k in kinds.items() if isinstance(getattr(k, "card", None), Card)}
    makers: dict[str, Any] = dict(known)
    makers |= {
        n: k for n, k in kinds.items() if registry.describe("dataset", n).declared.get("finds")
    }
    for option, file in config_files("dataset").items() if names else ():  # dataset=gowalla
        kind, fields = _option(read_yaml(file))
        if option not in makers and kind in known:
            makers[option] = partial(known[kind], **fields)
    for name in names:
        if name not in makers:
            raise BadRequest(f"unknown data set {name!r}: {choices(name, makers)}")
    folder = hub.mirror(Path(root) if root else None)
    return {name: makers[name](folder) for name in names or known}


def _option(values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The component of a data set's option, and its fields."""
    return str(values.get("name")), {k: v for k, v in values.items() if k != "name"}


def described(name: str, source: ArraySource) -> dict[str, Any]:
    try:
        place = source.find()
        where = "not here" if place is None else place.kind
    except BadRequest as error:
        place, where = None, str(error)
    card = source.card
    return {
        "name": name,
        "hub": card.hub,
        "rows": dict(card.rows),
        "shape": list(card.shape),
        "classes": list(card.classes),
        "where": where,
        "folder": None if place is None else str(place.folder),
        "source": card.source,
        "licence": card.licence,
    }
