"""What of a request goes into the batch script of a SLURM job, or is refused before it does."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ppr.errors import BadRequest
from ppr.launchers.queue import one_line

_NUMBER = r"[0-9]{1,30}"
_DURATION = re.compile(
    f"(?:(?P<d>{_NUMBER})-)?(?P<a>{_NUMBER})(?::(?P<b>{_NUMBER}))?(?::(?P<c>{_NUMBER}))?"
)
_MOST_MINUTES = 2**32 - 3
"""SLURM counts them in 32 bits, of which two values are its own."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OPTION = re.compile(r"[a-z][a-z0-9_-]*")
_OWN = {
    "array", "error", "help", "input", "no_requeue", "ntasks_per_node", "open_mode", "output",
    "parsable", "signal", "test_only", "usage", "version", "wait", "wrap",
}  # fmt: skip
"""Options of sbatch that a sweep's jobs have already, or could not do with."""


def minutes(time: int | str) -> int:
    """SLURM's time limits as whole minutes: 30, "30", "30:00", "1:30:00", "1-12", "1-12:30:00".

    Raises:
        BadRequest: it is none of these.
    """
    found = _DURATION.fullmatch(str(time))
    if found is None:
        raise BadRequest(f'launcher.time={time!r}: must be minutes or "days-hours:minutes:seconds"')
    parts = [int(part or 0) for part in found.group("a", "b", "c")]
    if found["d"] is not None:  # days-hours[:minutes[:seconds]]
        seconds = int(found["d"]) * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    elif found["c"] is not None:  # hours:minutes:seconds
        seconds = parts[0] * 3600 + parts[1] * 60 + parts[2]
    else:  # minutes[:seconds]
        seconds = parts[0] * 60 + parts[1]
    if seconds == 0:
        raise BadRequest(f"launcher.time={time!r}: must be more than nothing")
    total = -(-seconds // 60)
    if total > _MOST_MINUTES:
        raise BadRequest(f"launcher.time={time!r}: must be at most {_MOST_MINUTES} minutes")
    return total


def refuse_control(name: str, word: str) -> None:
    """A line break would end an option's line in the batch script, and begin one of shell."""
    if _CONTROL.search(word):
        raise BadRequest(f"launcher.{name}={word!r}: must have no control characters")


def options(sbatch: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    """Further options of sbatch by their names with underscores; one that is false is left out."""
    found = {}
    for written, value in sbatch.items():
        name = written.replace("-", "_")
        if not _OPTION.fullmatch(name):
            raise BadRequest(f"launcher.sbatch: {written!r}: must be an option's long name")
        if name in _OWN:
            raise BadRequest(f"launcher.sbatch: {written}: is ppr's own to set")
        refuse_control(f"sbatch.{written}", str(value))
        if value is not False:
            found[name] = value
    return found


def refuse_path(folder: Path) -> None:
    """Refuse a results tree where SLURM would not write the logs that are asked for.

    Raises:
        BadRequest: its path has a letter that SLURM reads as its own.
    """
    odd = sorted({letter for letter in str(folder) if letter in "%\\" or _CONTROL.match(letter)})
    if odd:
        raise BadRequest(
            f"launcher=slurm: SLURM takes no {' or '.join(map(repr, odd))} in the path of a log "
            f"({str(folder)!r}): name another place: PPR_RESULTS or results.root=…"
        )


def refuse_half(command: str) -> None:
    """Each item of `launcher.setup` stands alone: after it the job asks whether it has failed."""
    read = subprocess.run(
        ["/bin/bash", "-n", "-c", command], capture_output=True, text=True, check=False
    )
    if read.returncode:
        said = one_line(read.stderr.split("line ", 1)[-1])
        raise BadRequest(f"launcher.setup: {command!r}: must be a whole command of bash ({said})")


def guarded(setup: Sequence[str], unprepared: str) -> list[str] | None:
    """Shell that does the commands of `setup` and stops at the first that fails, telling which."""
    if not setup:
        return None
    lines = [
        "ppr_unprepared() {",
        "  ppr_code=$?",
        f'  {unprepared} "$ppr_command" "$ppr_code"',
        "  exit $((ppr_code ? ppr_code : 1))",
        "}",
        "trap ppr_unprepared EXIT",
    ]
    for command in setup:
        lines += [f"ppr_command={shlex.quote(command)}", command, ""]
        lines += ["ppr_code=$?; if [ $ppr_code -ne 0 ]; then exit $ppr_code; fi"]
    return [*lines, "trap - EXIT"]
