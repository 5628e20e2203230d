"""`ppr data`: list, fetch and check the data sets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr import registry
from ppr.cli.words import DATASET
from ppr.config.places import config_files
from ppr.config.yaml_files import read_yaml
from ppr.data import hub
from ppr.errors import BadRequest, RunFailed, choices
from ppr.report.terminal import print_table

if TYPE_CHECKING:
    from ppr.data.source import ArraySource

STYLES = {"ok": "green", "failed": "red", "not checked": "yellow", "not here": "yellow"}

root_option = click.option(
    "--root", metavar="DIR", help="A folder of data sets in the hub's layout [PPR_DATA]."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
names_argument = click.argument("names", nargs=-1, type=DATASET, metavar="[NAME]...")


@click.group(name="data")
def command() -> None:
    """List, fetch and check the data sets."""


@command.command(name="list")
@root_option
@json_option
def list_(root: str | None, as_json: bool) -> None:
    """List the data sets, and where each is on this machine."""
    found = [described(name, source) for name, source in sources((), root).items()]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [
        [
            item["name"],
            " + ".join(f"{count:,} {split}" for split, count in item["rows"].items()),
            " x ".join(map(str, item["shape"])),
            len(item["classes"]),
            item["where"],
            item["hub"],
            item["licence"],
        ]
        for item in found
    ]
    columns = ["name", "rows", "shape", "classes", "where", "hub", "licence"]
    print_table(columns, rows, styles=STYLES)


@command.command()
@click.argument("names", nargs=-1, required=True, type=DATASET, metavar="NAME...")
@root_option
def fetch(names: tuple[str, ...], root: str | None) -> None:
    """Download data sets from the Hugging Face hub or their publishers; note their hashes.

    Into the folder of data sets where one is named, else into a cache: the Hugging Face one, or
    ppr's own.
    """
    for name, source in sources(names, root).items():
        place = source.find()
        if place is None:
            card = source.published
            place = hub.fetch(card, source.root and source.root / card.name, source.root)
        click.echo(f"{name}: in {place}")


@command.command()
@names_argument
@root_option
@json_option
def check(names: tuple[str, ...], root: str | None, as_json: bool) -> None:
    """Check hashes, row and label counts and pixel statistics; without NAME, of all that is here.

    Every image is decoded.
    """
    from ppr.data.check import Finding
    from ppr.data.check import check as check_source

    findings: list[Finding] = []
    for name, source in sources(names, root).items():
        place = source.find()
        if place is not None:
            findings += check_source(source, place)
        elif names:
            raise BadRequest(f"{name}: not on this machine; get it with `ppr data fetch {name}`")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        rows = [[item.name, item.check, item.result, item.detail] for item in findings]
        print_table(["name", "check", "result", "detail"], rows, styles=STYLES)
    failed = [f"{item.name} ({item.check})" for item in findings if item.result == "failed"]
    if failed:
        raise RunFailed(f"not the published data: {', '.join(failed)}")


def sources(names: Iterable[str], root: str | None) -> dict[str, ArraySource]:
    """The data sets with a card of their own (`hub_images` is many), or those named."""
    kinds = {name: registry.load("dataset", name) for name in registry.names("dataset")}
    known = {name: kind for name, kind in kinds.items() if hasattr(kind, "card")}
    makers: dict[str, Any] = dict(known)
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
