"""A run's life: claim its directory, train, write the summary last; or find it finished."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config
from ppr.config.yaml_files import dump_yaml
from ppr.engine import distributed
from ppr.engine.bench import Bench, Outcome, Watcher
from ppr.environment import environment_of
from ppr.errors import BadRequest, RunFailed
from ppr.results import tree
from ppr.results.failure import now, reason, write_failure
from ppr.results.files import clear_asides, write_atomic, write_json
from ppr.results.finished import finished_summary
from ppr.trackers.live import tracked

_log = logging.getLogger(__name__)


def execute_here(config: Config, watcher: Watcher, *, force: bool = False) -> dict[str, Any]:
    """`execute` in this process, which may be one of several that do the run together.

    Of those the first alone claims the directory, writes and tells `watcher`.
    """
    _join(config)
    folder = config.folder
    with ExitStack() as held:
        done = distributed.from_main(lambda: claim_run(config, folder, held, force=force))
        if done is not None:
            return done
        if distributed.is_main():
            held.enter_context(tracked(config, folder))
        return _execute(config, folder, watcher if distributed.is_main() else Watcher())


def _join(config: Config) -> None:
    from ppr.config.settings import EngineSettings
    from ppr.engine.device import check_devices, own_device

    if distributed.given_size() > 1:
        settings = EngineSettings(**config["engine"])
        check_devices(settings, distributed.given_size(), distributed.given_local_size())
        distributed.join(own_device(settings))


def claim_run(
    config: Config, folder: Path, held: ExitStack, *, force: bool
) -> dict[str, Any] | None:
    """Hold the run directory; the summary if there is nothing to do.

    What killed processes have left there goes. So does the directory, if the request is refused
    and it was not there before.

    Raises:
        RunBusy: another process holds it.
        RunFailed: its summary is damaged, and `force` does not say to do it again.
    """
    new = not folder.exists()
    held.enter_context(tree.claim(folder))
    if new:
        held.enter_context(_refusal_leaves_nothing(folder))
    clear_asides(folder / tree.CHECKPOINTS)
    if force:
        _keep_aside(folder)
        return None
    done = finished_summary(config)
    if done is not None:
        shutil.rmtree(folder / tree.CHECKPOINTS, ignore_errors=True)
    return done


@contextmanager
def _refusal_leaves_nothing(folder: Path) -> Iterator[None]:
    try:
        yield
    except BadRequest:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # what other runs lie in stays
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
        raise


def _execute(config: Config, folder: Path, watcher: Watcher) -> dict[str, Any]:
    from ppr.engine.checkpoints import drop_checkpoints
    from ppr.engine.interrupts import stop_on_signal

    started = time.perf_counter()
    with stop_on_signal() as stop, failure_noted(folder):
        bench = open_bench(config, folder, watcher)
        bench.stop = stop
        environment = distributed.from_main(lambda: write_request(config, bench))
        _open_data(bench)
        outcome = make_task(bench).execute()
        cost = {"seconds": time.perf_counter() - started}
        summary = distributed.from_main(
            lambda: write_summary(config, folder, outcome, environment, cost)
        )
    if distributed.is_main():
        drop_checkpoints(folder / tree.CHECKPOINTS)
    return summary


def _open_data(bench: Bench) -> None:
    """Let one of several processes fetch the data before the others look for it."""
    if distributed.size() > 1:
        if not bench.chosen("dataset"):
            task = bench.values["task"]["name"]
            raise BadRequest(
                f"engine.devices: the task {task!r} trains on no data that devices could share; "
                "allowed: 1"
            )
        distributed.main_first(lambda: bench.dataset)


@contextmanager
def failure_noted(folder: Path) -> Iterator[None]:
    """Forget how the run failed before; leave in its directory how it fails now.

    One that its search prunes leaves that there; its checkpoints go, for nobody means to go on.
    """
    from ppr.engine.checkpoints import drop_checkpoints
    from ppr.engine.interrupts import Pruned

    if distributed.is_main():
        for name in (tree.FAILURE, tree.PRUNED):
            (folder / name).unlink(missing_ok=True)
    try:
        yield
    except Pruned as error:
        if distributed.is_main():
            write_json(folder / tree.PRUNED, {**error.record, "time": now()})
            drop_checkpoints(folder / tree.CHECKPOINTS)
        raise
    except RunFailed as error:
        if distributed.is_main():
            write_failure(folder, reason(error))
        raise
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror or error}"
        raise RunFailed(message) from error
    except RuntimeError as error:
        lost = distributed.lost(error)
        if lost is None:
            raise
        raise lost from error  # the process that knows why notes it


def write_summary(
    config: Config,
    folder: Path,
    outcome: Outcome,
    environment: Mapping[str, Any],
    cost: Mapping[str, float],
) -> dict[str, Any]:
    """Write what a run found, with what it took: this finishes it."""
    summary: dict[str, Any] = {
        "schema": tree.SCHEMA,
        "experiment": config.experiment,
        "variant": config.variant,
        "seed": config.seed,
        "run_id": config.run_id,
        "scale": config["scale"],
        "metrics": outcome.metrics,
        "untrained": outcome.untrained,
        "best": outcome.best,
        "protocol": outcome.protocol,
        "data": outcome.data,
        "cost": {**cost, "seconds": round(cost["seconds"], 3), **outcome.cost},
        "code": environment["code"],
        "finished": now(),
    }
    summary["digest"] = tree.record_digest(summary, dict(config.values), environment)
    write_json(folder / tree.SUMMARY, summary)
    return summary


def open_bench(config: Config, folder: Path, watcher: Watcher) -> Bench:
    """Device, precision and settings of a run, with the global generators seeded."""
    from ppr.config.settings import EngineSettings
    from ppr.engine.device import configure, own_device, settle_precision

    settings = EngineSettings(**config["engine"])
    device = own_device(settings)
    configure(settings)
    precision = settle_precision(settings.precision, device)
    return Bench(config.values, device, precision, folder, settings, watcher, inputs=config.inputs)


def make_task(bench: Bench) -> Any:
    """Build the task; its weights depend on the seed alone."""
    from ppr.engine.seeding import seed_everything

    seed_everything(bench.seed, "initialise")
    return bench.build("task", bench)


def write_request(config: Config, bench: Bench) -> dict[str, Any]:
    """Write what is asked for and what it is run with, which is returned."""
    folder, environment = bench.folder, environment_of(config, bench.device)
    write_atomic(folder / tree.CONFIG, dump_yaml(config.values))
    command = command_line("run", *config.overrides)
    write_json(folder / tree.REQUEST, {"overrides": list(config.overrides), "command": command})
    write_json(folder / tree.ENVIRONMENT, environment)
    return environment


def _keep_aside(folder: Path) -> None:
    """Move an earlier run's files out of the way; nothing is overwritten."""
    own = {tree.LOCK, tree.HOLDER}
    files = [entry for entry in folder.iterdir() if entry.name not in own and entry.name[0] != "."]
    if not files:
        return
    files.sort(key=lambda entry: entry.name != tree.SUMMARY)  # a kill then leaves none that is half
    aside = folder.parent / f".{folder.name}-replaced-{datetime.now():%Y%m%dT%H%M%S%f}"
    aside.mkdir()
    for entry in files:
        entry.rename(aside / entry.name)
    _log.info("the earlier run is kept in %s", aside)
