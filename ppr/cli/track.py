"""`ppr track`: replay runs to a tracker after the fact."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.words import WORDS
from ppr.config.places import results_root
from ppr.errors import BadRequest, PprError
from ppr.results.select import named, select
from ppr.results.tree import CONFIG, Scan, scan


@click.command(name="track")
@click.argument("words", nargs=-1, required=True, type=WORDS, metavar="RUN... tracker=NAME")
@click.option("--force", is_flag=True, help="Send everything anew, in place of what is there.")
@options.results
@options.config_dir
def command(words: tuple[str, ...], force: bool, root: str | None) -> int:
    """Replay runs to a tracker: finished ones, or what there is of others.

    RUN is a run directory, an experiment, the start of a variant's id, or a filter as `ppr results`
    takes it. What a tracker has already is not sent again.

    \b
      ppr track supcon_digits tracker=wandb
      ppr track results/supcon_digits/d775cac660/seed=0 tracker=wandb tracker.mode=offline
      ppr track experiment=supcon_* state=finished tracker=wandb tracker.project=supcon
    """
    from ppr import registry
    from ppr.config.compose import compose

    chosen = [word for word in words if word.split("=", 1)[0].split(".", 1)[0] == "tracker"]
    node = compose(chosen)["tracker"]
    if node is None:
        names = ", ".join(registry.names("tracker"))
        raise BadRequest(f"tracker: none chosen; choose one with tracker=…; allowed: {names}")
    tracker = registry.make("tracker", node)
    tracker.check()
    folders = _folders(scan(results_root(root)), [word for word in words if word not in chosen])
    failed = 0
    for folder in folders:
        over = threading.Event()
        over.set()
        try:
            if force:
                tracker.forget(folder)
            there = tracker.sent(folder).get("complete") and not force
            where = tracker.sent(folder)["where"] if there else tracker.replay(folder, over)
        except PprError as error:
            failed += 1
            click.echo(f"ppr: {folder}: {error}", err=True)
            continue
        click.echo(
            f"{folder}: {'there already: ' if there else ''}{where or 'nothing to send yet'}"
        )
    return 1 if failed else 0


def _folders(seen: Scan, words: Sequence[str]) -> list[Path]:
    """The run directories that the words name: those of every name, less what a filter leaves out.

    Raises:
        BadRequest: there is no such run.
    """
    filters = [word for word in words if "=" in word and not (Path(word) / CONFIG).exists()]
    names = [word for word in words if word not in filters]
    kept = select(seen, filters)
    found: list[Path] = []
    for name in names:
        if (Path(name) / CONFIG).exists():
            found.append(Path(name))
        else:
            found += [record.path for record in named(kept.records, name) if record.path]
    if not names:
        found = [record.path for record in kept.records if record.path]
    if not found:
        raise BadRequest(f"{' '.join(words) or 'RUN'}: no run to track")
    return list(dict.fromkeys(found))
