"""`ppr run`: train and evaluate one experiment, or a sweep of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from ppr.cli import options
from ppr.cli.words import WORDS
from ppr.errors import BadRequest


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("words", nargs=-1, type=WORDS, metavar="[KEY=VALUE]...")
@click.option("-m", "--multirun", is_flag=True, help="Sweep: seed=0,1,2 or 'seed=range(0,5)'.")
@click.option("--cfg", is_flag=True, help="Print the composed config and its files, run nothing.")
@options.config_dir
@click.option("--force", is_flag=True, help="Run again; the earlier result is kept aside.")
@click.option("--yes", is_flag=True, help="Start a sweep however large it is.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, nothing else.")
def command(
    words: tuple[str, ...],
    multirun: bool,
    cfg: bool,
    force: bool,
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train and evaluate one experiment; the same command again resumes or shows it.

    \b
      ppr run                                              SupCon on digits
      ppr run experiment=supcon_cifar100 seed=1
      ppr run model=resnet18 loss.temperature=0.07 engine.precision=bf16
      ppr run experiment=supcon_cifar100 scale=smoke       two steps on random data
      ppr run -m loss.temperature=0.05,0.1 'seed=range(0,5)'
      ppr run -m seed=0,1,2 launcher=slurm launcher.time=120
      ppr run -m sweeper=optuna 'optimizer.lr=tag(log,interval(1e-4,1e-2))'

    KEY=VALUE is Hydra's override grammar: GROUP=OPTION chooses a component (see
    `ppr list`), GROUP.FIELD=VALUE sets one of its fields (see `ppr show`).
    """
    from ppr.config.compose import compose

    if cfg:
        from ppr.launchers.plan import make_plan

        plan = make_plan(words, confirmed=yes) if multirun else None
        for config in [compose(words)] if plan is None else plan.configs or [plan.example]:
            _print_config(config)
        return 0
    if not multirun:
        config = compose(words)
        if config["sweeper"]:
            raise BadRequest(f"sweeper={config['sweeper']['name']}: a search needs -m")
        if (config["launcher"] or {}).get("name") in (None, "local"):
            run_one(config, force, quiet, as_json)
            return 0
    _load_pytorch("ppr run", quiet or as_json)
    from ppr.launchers.launch import run_sweep

    return run_sweep(words, yes=yes, force=force, quiet=quiet, as_json=as_json)


def _load_pytorch(what: str, silent: bool) -> None:
    """Import it; the seconds that this takes are not to look like a hang."""
    if silent or "torch" in sys.modules:
        return
    if sys.stdout.isatty():
        from rich.console import Console

        with Console().status(f"{what}: loading PyTorch"):
            import torch  # noqa: F401
        return
    click.echo(f"{what}: loading PyTorch")
    sys.stdout.flush()


def run_one(config: Any, force: bool, quiet: bool, as_json: bool) -> dict[str, Any]:
    """Do a run, or find it done, and show what came of it."""
    if os.environ.get("RANK", "0") != "0":  # of the processes of a run one speaks
        quiet, as_json = True, False
    silent = quiet or as_json
    _load_pytorch(f"{config.experiment} seed {config.seed} ({config.variant})", silent)
    from ppr.display.progress import make_watcher
    from ppr.launchers.execute import execute
    from ppr.results.finished import finished_summary
    from ppr.results.leftovers import drop_leftovers
    from ppr.trackers.live import check_tracker

    before = None if force else finished_summary(config)
    if before is not None:
        summary = before
        drop_leftovers(config.folder)
    else:
        check_tracker(config)  # before the progress display, too
        with make_watcher(config, silent) as watcher:
            summary = execute(config, watcher, force=force)
    if as_json:
        click.echo(json.dumps(summary))
    elif not quiet:
        synthetic = config["data"]["synthetic"] is not None
        _print_result(summary, config.folder, before is not None, synthetic)
    if before is not None and not quiet:
        _print_older(before, err=as_json)
    return summary


def _print_older(summary: dict[str, Any], err: bool) -> None:
    from ppr.config import code

    older = ", ".join(map(code.where, code.outdated(code.recorded(summary))))
    if older:
        click.echo(f"finished before, with other code of {older}; --force runs it again", err=err)


def _print_result(summary: dict[str, Any], folder: Path, before: bool, synthetic: bool) -> None:
    from ppr.display.terminal import print_table, result_table
    from ppr.results.metrics import metrics

    data, seconds = summary.get("data"), metrics(summary).get("cost/seconds")
    done = "finished before" if before or seconds is None else f"finished in {seconds:.0f} s"
    title = f"{summary['experiment']}, seed {summary['seed']}: {done}"
    print_table(*result_table(summary), title=title)
    best = summary.get("best")
    if best:
        click.echo(f"best: epoch {best.get('epoch')}, chosen by {best.get('chosen_by')}")
    if data and synthetic:
        click.echo("random data: these numbers show that it runs, and nothing else")
    elif data:
        split = (summary.get("protocol") or {}).get("split", "test")
        name, count = data.get("name"), data.get(split)
        whole = f"data: {name}"  # as of a study, which splits nothing
        click.echo(whole if count is None else f"{split} split of {name} ({count} samples)")
    click.echo(f"results: {folder}")
    try:
        from ppr.cli.papers import resolve
        from ppr.report.verdict_line import verdict_line

        line = verdict_line(summary, folder.parents[2], resolve)
    except Exception as error:  # a fault in a paper's file must not make a finished run a failure
        line = f"(not held against its paper: {' '.join(str(error).split())})"
    if line:
        click.echo(line)


def _print_config(config: Any) -> None:
    from ppr.config.yaml_files import dump_yaml

    click.echo(f"# run {config.run_id} (variant {config.variant}, seed {config.seed})")
    for group, file in config.sources:
        click.echo(f"# {group:<10} {file}")
    click.echo(dump_yaml(config.values), nl=False)
    sys.stdout.flush()
