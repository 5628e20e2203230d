"""`ppr export`: a finished run's network as safetensors, with its config and a card."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.words import RECORDED


@click.command(name="export")
@click.argument("run", type=RECORDED, metavar="RUN")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="A new or empty folder."
)
@click.option("--epoch", type=click.Choice(["last", "best"]), default="last", show_default=True)
@click.option("--push", "repository", metavar="USER/NAME", help="Upload it to the hub, too.")
@options.results
@options.config_dir
def command(run: str, output: Path, epoch: str, repository: str | None, root: str | None) -> None:
    """Write a finished run's network for others: safetensors, config, a card with its numbers.

    The folder is a repository of the Hugging Face hub; of a timm network in timm's own layout.

    \b
      ppr export supcon_digits/seed=0 -o supcon_digits_export
      ppr export supcon_digits/seed=0 -o export --push me/supcon-digits
    """
    from ppr.loading import load
    from ppr.report.model_export import export, push

    loaded = load(run, results=root, epoch=epoch)  # type: ignore[arg-type]
    for file in export(loaded, output):
        click.echo(str(file))
    if repository:
        click.echo(push(output, repository))
