"""Why a run failed, on one line, left in its run directory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ppr.errors import PprError, RunFailed
from ppr.results.files import check_as, read_json, write_json
from ppr.results.tree import FAILURE, PRUNED, SUMMARY, claim
from ppr.urls import without_userinfo


@dataclass(frozen=True)
class Failure:
    """`failure.json`."""

    error: str
    time: str


def reason(error: BaseException) -> str:
    """An error on one line: ppr's own say all, others need their type."""
    text = without_userinfo(" ".join(str(error).split()))
    if isinstance(error, PprError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def note_failure(folder: Path, error: str) -> None:
    """Leave in a run directory why the run failed: for a process that does not hold it.

    Nothing if the run has finished after all, if another process is at it by now, or if nothing can
    be written there: whoever calls this tells of the failure as well.
    """
    with suppress(PprError), claim(folder):
        write_failure(folder, error)


def write_failure(folder: Path, error: str) -> None:
    """`note_failure` of the process that holds the run directory."""
    if not any((folder / name).exists() for name in (SUMMARY, PRUNED)):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FAILURE, asdict(Failure(error, now())))


def read_failure(folder: Path) -> str:
    """Why the run failed; empty if that is not written there."""
    path = folder / FAILURE
    if not path.exists():
        return ""
    try:
        return check_as(read_json(path), Failure, str(path)).error
    except RunFailed as error:
        return str(error)


def now() -> str:
    """The time, as the results tree writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
