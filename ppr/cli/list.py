"""`ppr list`: the components and experiments that a config can name."""

from __future__ import annotations

import json
import shutil
import sys

import click

from ppr import registry
from ppr.cli.words import KIND
from ppr.config.places import config_files
from ppr.config.usage import headline
from ppr.errors import BadRequest, choices


def summaries(kind: str) -> dict[str, str]:
    """Every name of a kind with its one-line description; nothing is imported or composed."""
    if kind == "experiment":
        return {name: headline(path) for name, path in config_files(kind).items()}
    described = {name: _first_line(path) for name, path in registry.names(kind).items()}
    for name, path in config_files(kind).items():
        described.setdefault(name, headline(path))
    return dict(sorted(described.items()))


def _first_line(path: object) -> str:
    with open(str(path), encoding="utf-8") as file:
        return file.readline().strip().strip('"').strip()


@click.command()
@click.argument("kind", required=False, type=KIND)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kind: str | None, as_json: bool) -> None:
    """List what a config can name: of every kind, or of one (experiment, loss, model, …)."""
    kinds = ["experiment", *registry.KINDS]
    singular = kind.removesuffix("s") if kind and kind not in kinds else kind
    if singular is not None and singular not in kinds:
        raise BadRequest(f"unknown kind {kind!r}: {choices(str(kind), kinds)}")
    listed = {name: summaries(name) for name in ([singular] if singular else kinds)}
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    for name, found in listed.items():
        if not found:
            continue
        click.secho(name, bold=True)
        width = min(max(map(len, found)), 32)
        # A pipe has no width: what a program reads is whole.
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
        for option, summary in found.items():
            line = f"  {option:<{width}}  {summary}".rstrip()
            click.echo(line if len(line) <= room else line[: room - 1] + "…")
