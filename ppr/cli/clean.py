"""`ppr clean`: what can go of a results tree, with its size; then without it."""

from __future__ import annotations

import json

import click

from ppr.cli import options
from ppr.config.places import results_root
from ppr.display.terminal import count, print_table
from ppr.errors import BadRequest, RunFailed, choices
from ppr.results.waste import KINDS, USUAL, remove, waste


@click.command(name="clean")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@options.results
@click.option("--yes", is_flag=True, help="Remove what would otherwise be listed alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(kinds: tuple[str, ...], root: str | None, yes: bool, as_json: bool) -> None:
    """List what a results tree keeps that no number needs; with --yes, remove it.

    \b
      checkpoints   of finished runs, left by a kill
      failed        runs that failed or that a search has pruned
      replaced      earlier runs, set aside by --force
      interrupted   runs that the same command would go on with: only by name
      weights       of finished runs, which inputs, evaluate, load and export need: only by name

    Summaries, configs and logs of finished runs stay, and so do runs that are being run.

    \b
      ppr clean                     what there is, and how much
      ppr clean --yes
      ppr clean replaced weights --yes
    """
    for kind in kinds:
        if kind not in KINDS:
            raise BadRequest(f"clean {kind}: {choices(kind, KINDS)}")
    where = results_root(root)
    if root and not where.is_dir():
        raise BadRequest(f"--results {root}: no such folder")
    found = waste(where, kinds or USUAL)
    sizes = {id(item): item.bytes for item in found}
    gone, stayed = remove(found) if yes else ([], [])
    if as_json:
        rows = [
            {"kind": i.kind, "run": str(i.run), "bytes": sizes[id(i)], "removed": i in gone}
            for i in found
        ]
        click.echo(json.dumps({"found": rows, "stayed": stayed}, indent=2))
    else:
        shown = gone if yes else found
        if shown:
            rows_ = [[i.kind, str(i.run.relative_to(where)), _mb(sizes[id(i)])] for i in shown]
            print_table(["kind", "run", "MB"], rows_)
        total = _mb(sum(sizes[id(item)] for item in shown))
        what = f"{count(len(shown), 'item')}, {total} MB"
        click.echo(f"{what} removed" if yes else f"{what}; --yes removes them")
    if stayed:
        raise RunFailed("; ".join(stayed))


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
