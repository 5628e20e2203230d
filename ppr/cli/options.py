"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.commands import note
from ppr.config.places import add_config_dir


def _add(ctx: click.Context, option: click.Parameter, folders: tuple[Path, ...]) -> None:
    note(("--config-dir", str(folder)) for folder in folders)
    for folder in folders:
        add_config_dir(folder)


config_dir = click.option(
    "--config-dir",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_add,
    help="A folder with configs of your own (experiment/, paper/, loss/, …).",
)
results = click.option(
    "--results", "root", metavar="DIR", help="The results tree [PPR_RESULTS or results]."
)
