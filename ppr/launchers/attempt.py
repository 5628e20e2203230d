"""One run of a sweep, done in this process; whatever breaks it is left in its run directory."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from ppr.config.compose import Config
from ppr.errors import PprError
from ppr.results.files import write_json
from ppr.results.lock import RunBusy
from ppr.results.tree import FAILURE, PRUNED, SUMMARY
from ppr.tasks.bench import Watcher


def attempt(config: Config, watcher: Watcher, *, force: bool) -> dict[str, Any]:
    """Do the run, go on with it, or find it done."""
    from ppr.engine.distributed import ProcessLost
    from ppr.engine.interrupts import Interrupted, Pruned
    from ppr.run import execute, run_directory

    try:
        return execute(config, watcher, force=force)
    except (Interrupted, Pruned, RunBusy, ProcessLost):
        raise
    except Exception as error:
        note_failure(run_directory(config), reason(error))
        raise


def reason(error: BaseException) -> str:
    """An error on one line: ppr's own say all, others need their type."""
    text = " ".join(str(error).split())
    if isinstance(error, PprError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def note_failure(folder: Path, error: str) -> None:
    """Leave in a run directory why the run failed, unless it has finished after all."""
    if not any((folder / name).exists() for name in (SUMMARY, PRUNED)):
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(folder / FAILURE, {"error": error, "time": now})
