"""`ppr schema`: JSON Schemas of experiments and papers, for editors that complete YAML."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ppr.cli import options
from ppr.config import places
from ppr.errors import BadRequest, choices

FOLDER = ".schema"
WHAT = ("experiment", "paper")


@click.command()
@click.argument("what", required=False)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"The folder that gets {FOLDER}/ [ppr's own tree, where this is a checkout of it].",
)
@options.config_dir
def command(what: str | None, into: Path | None) -> None:
    """Write the schemas that the files of `ppr new` name, or print that of WHAT.

    An editor with a YAML language server then completes and checks the keys of experiments and
    papers. Components of your own are in it with `ppr --plugin DIR schema --into DIR`.
    """
    if what is not None:
        if what not in WHAT:
            raise BadRequest(f"schema {what!r}: {choices(what, WHAT)}")
        click.echo(text(what), nl=False)
        return
    for path in write(into):
        click.echo(path)


def folder(into: Path | None) -> Path:
    """Where the schemas lie: one folder for a tree, as its files name it by a relative path.

    Raises:
        BadRequest: this is no checkout of ppr, and no folder is named.
    """
    return places.own_tree(into) / FOLDER


def write(into: Path | None) -> list[Path]:
    where = folder(into)
    where.mkdir(parents=True, exist_ok=True)
    for what in WHAT:
        (where / f"{what}.json").write_text(text(what), encoding="utf-8")
    return [where / f"{what}.json" for what in WHAT]


def text(what: str) -> str:
    """A schema as it is written."""
    if what == "paper":
        from ppr.papers.json_schema import paper_schema as make
    else:
        from ppr.config.json_schema import experiment_schema as make
    return json.dumps(make(), indent=1) + "\n"
