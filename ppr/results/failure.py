"""Why a run failed, on one line, left in its run directory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ppr.errors import PprError
from ppr.results.files import write_json
from ppr.results.tree import FAILURE, PRUNED, SUMMARY


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
        write_json(folder / FAILURE, {"error": error, "time": now()})


def now() -> str:
    """The time, as the results tree writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
