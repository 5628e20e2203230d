"""`ppr check`: compose, check and try every experiment without its data."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from ppr.cli import options
from ppr.cli.words import EXPERIMENT
from ppr.errors import BadRequest, PprError, choices

WIRING = ("engine.device=cpu", "engine.precision=fp32")
"""A CPU takes minutes for a step in fp16, which shows nothing of the wiring."""
WAYS = {
    "fp32": ("engine.precision=fp32",),
    "bf16": ("engine.precision=bf16",),
    "fp16": ("engine.precision=fp16",),
    "compiled": ("engine.precision=bf16", "engine.compile=true"),
}
"""How a step can be taken on a device."""
OF_A_DEVICE = ("bf16", "fp16", "compiled")


@click.command()
@click.argument("experiments", nargs=-1, type=EXPERIMENT)
@options.config_dir
@click.option("--compose-only", is_flag=True, help="Check names and fields, train no step.")
@click.option("--device", metavar="DEVICE", help="Take the steps there: cuda, cuda:1, mps or cpu.")
@click.option(
    "--in",
    "ways",
    multiple=True,
    type=click.Choice(list(WAYS)),
    help="How a step is taken with --device: bf16, fp16 and compiled where nothing is said.",
)
def command(
    experiments: tuple[str, ...], compose_only: bool, device: str | None, ways: tuple[str, ...]
) -> int:
    """Compose experiments, check every field, and train one small step on random data.

    All shipped experiments, or those named. Needs no data; exit code 1 if any is wrong. With
    --device each takes its step there, in bf16, in fp16 and compiled; studies, which have no
    steps, measure once.
    """
    from ppr.config.places import options as options_of

    known = options_of("experiment")
    for name in experiments:
        if name not in known:
            raise BadRequest(f"no experiment {name!r}; {choices(name, known)}")
    if ways and device is None:
        raise BadRequest("--in: says how a step is taken on --device, which is not given")
    if device is not None:
        from ppr.engine.device import pick_device

        pick_device(device)
    wrong = 0
    for name in experiments or known:
        if device is None:
            wrong += not _told(name, name, WIRING, compose_only, PprError)
            continue
        # A step is taken in each way; whatever else is no training is done once.
        each = (ways or OF_A_DEVICE) if _trains(name) else ("fp32",)
        for way in each:
            words = (f"engine.device={device}", *WAYS[way])
            # A kernel that a device does not have must not hide the others.
            wrong += not _told(f"{name} [{way}]", name, words, compose_only, Exception)
    return 1 if wrong else 0


def _trains(name: str) -> bool:
    from ppr import registry
    from ppr.config.compose import compose
    from ppr.engine.training import TrainingTask

    task = registry.load("task", compose([f"experiment={name}"])["task"]["name"])
    return isinstance(task, type) and issubclass(task, TrainingTask)


def _told(
    title: str, name: str, machine: Sequence[str], compose_only: bool, kind: type[Exception]
) -> bool:
    """Whether it is right, after saying so; errors of other kinds are not caught."""
    try:
        check_words([f"experiment={name}"], compose_only, machine)
    except kind as error:
        first = (str(error).strip().splitlines() or [""])[0]
        told = first if isinstance(error, PprError) else f"{type(error).__name__}: {first}"
        click.echo(f"{title}: {told}", err=True)
        return False
    click.echo(f"{title}: ok")
    return True


def check_experiment(name: str, compose_only: bool = False) -> None:
    """Compose one experiment and train one step of it on random data; errors as `check_words`."""
    check_words([f"experiment={name}"], compose_only)


def check_words(
    words: list[str], compose_only: bool = False, machine: Sequence[str] = WIRING
) -> None:
    """Compose what `ppr run` would with these words, and train one step of it on random data.

    Args:
        machine: words for the device, the precision and whether the step is compiled.

    Raises:
        BadRequest: a name, field or value is wrong.
        RunFailed: the step's loss is not finite.
    """
    from ppr.config.compose import compose

    config = compose([*words, "scale=smoke", *machine])
    if compose_only:
        return
    from ppr.engine.bench import Watcher
    from ppr.run import make_task, open_bench

    with tempfile.TemporaryDirectory() as folder:
        make_task(open_bench(config, Path(folder), Watcher())).check()
