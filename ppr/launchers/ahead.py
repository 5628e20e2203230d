"""What is looked at once before many runs are started: their data, and whether they fit here."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ppr import registry
from ppr.config.composed import Config
from ppr.config.places import data_root
from ppr.data import hub
from ppr.data.source import Source
from ppr.errors import BadRequest
from ppr.results.sweeps import LOCAL


def too_big_for_here(configs: Sequence[Config]) -> list[Config]:
    """Those that train at paper scale, on this machine, which has no device but its CPU."""
    big = [
        config
        for config in configs
        if config["scale"] == "paper"
        and config["dataset"]
        and not config["data"]["synthetic"]
        and (config["launcher"] or {"name": LOCAL})["name"] == LOCAL
    ]
    if not big:
        return []
    from ppr.config.settings import EngineSettings
    from ppr.engine.device import own_device

    return [c for c in big if own_device(EngineSettings(**c["engine"])).type == "cpu"]


def have_data(configs: Sequence[Config]) -> None:
    """Fetch the data sets that are not on this machine, as the first of the runs would.

    Raises:
        BadRequest: one cannot be had; names the others that are not here either.
    """
    lacking: dict[str, Source] = {}
    for config in configs:
        node, data = config["dataset"], config["data"]
        if not node or data["synthetic"] or node["name"] in lacking:
            continue
        source = registry.make("dataset", node, data_root(data["root"]))
        if isinstance(source, Source) and source.find() is None:
            lacking[node["name"]] = source
    left = list(lacking)
    for name, source in lacking.items():
        left.remove(name)
        try:
            place = hub.fetch(source.card, None, source.root)
        except BadRequest as error:
            others = f"; not here either: {', '.join(left)}" if left else ""
            raise BadRequest(f"{error}{others}") from None
        click.echo(f"{name}: in {place}")
