"""One run of a sweep, done in this process; whatever breaks it is left in its run directory."""

from __future__ import annotations

from typing import Any

from ppr.config.composed import Config
from ppr.engine.bench import Watcher
from ppr.results.failure import note_failure, reason
from ppr.results.lock import RunBusy


def attempt(
    config: Config, watcher: Watcher, *, force: bool, patient: bool = True
) -> dict[str, Any]:
    """Do the run, go on with it, or find it done.

    `patient`: one that another process is at is waited for.

    Raises:
        RunBusy: another process is at it, and `patient` is not asked for.
    """
    from ppr.engine.distributed import ProcessLost
    from ppr.engine.interrupts import Interrupted, Pruned
    from ppr.launchers.execute import execute, execute_when_free

    do = execute_when_free if patient else execute
    try:
        return do(config, watcher, force=force)
    except (Interrupted, Pruned, RunBusy, ProcessLost):
        raise
    except Exception as error:
        note_failure(config.folder, reason(error))
        raise
