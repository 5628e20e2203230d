"""`ppr data`: list, fetch and check the data sets."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ppr.cli.words import DATASET
from ppr.commands import command_line
from ppr.data import hub
from ppr.data.sources import described, sources
from ppr.display.terminal import print_table
from ppr.errors import BadRequest, RunFailed

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
            fetch = command_line("data", "fetch", name)
            raise BadRequest(f"{name}: not on this machine; get it with `{fetch}`")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        rows = [[item.name, item.check, item.result, item.detail] for item in findings]
        print_table(["name", "check", "result", "detail"], rows, styles=STYLES)
    failed = [f"{item.name} ({item.check})" for item in findings if item.result == "failed"]
    if failed:
        raise RunFailed(f"not the published data: {', '.join(failed)}")
