"""`ppr check`: compose, check and try every experiment without its data."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.words import EXPERIMENT
from ppr.errors import BadRequest, PprError, choices


@click.command()
@click.argument("experiments", nargs=-1, type=EXPERIMENT)
@options.config_dir
@click.option("--compose-only", is_flag=True, help="Check names and fields, train no step.")
def command(experiments: tuple[str, ...], compose_only: bool) -> int:
    """Compose experiments, check every field, and train one small step on random data.

    All shipped experiments, or those named. Needs no data; exit code 1 if any is wrong.
    """
    from ppr.config.places import options as options_of

    known = options_of("experiment")
    for name in experiments:
        if name not in known:
            raise BadRequest(f"no experiment {name!r}; {choices(name, known)}")
    wrong = 0
    for name in experiments or known:
        try:
            check_experiment(name, compose_only)
        except PprError as error:
            wrong += 1
            click.echo(f"{name}: {error}", err=True)
        else:
            click.echo(f"{name}: ok")
    return 1 if wrong else 0


def check_experiment(name: str, compose_only: bool = False) -> None:
    """Compose one experiment and train one step of it on random data; errors as `check_words`."""
    check_words([f"experiment={name}"], compose_only)


def check_words(words: list[str], compose_only: bool = False) -> None:
    """Compose what `ppr run` would with these words, and train one step of it on random data.

    Raises:
        BadRequest: a name, field or value is wrong.
        RunFailed: the step's loss is not finite.
    """
    from ppr.config.compose import compose

    # A CPU takes minutes for a step in fp16, which shows nothing of the wiring.
    machine = ["engine.device=cpu", "engine.precision=fp32"]
    config = compose([*words, "scale=smoke", *machine])
    if compose_only:
        return
    from ppr.engine.bench import Watcher
    from ppr.run import make_task, open_bench

    with tempfile.TemporaryDirectory() as folder:
        make_task(open_bench(config, Path(folder), Watcher())).check()
