"""What a check of `ppr doctor` finds, and how checks are run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]
_SECONDS = 8.0
"""What all checks together may take; they run at once."""


@dataclass(frozen=True)
class Finding:
    """One line. A problem keeps ppr from running; a warning, something of it from working."""

    check: str
    state: State
    says: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


def run_checks(checks: Mapping[str, Check], seconds: float = _SECONDS) -> list[Finding]:
    """What the checks find, in their order; one that breaks or hangs leaves the others alone."""
    found: dict[str, list[Finding]] = {name: [] for name in checks}
    # Daemons, so that one that hangs (a dead network disk) does not keep the command from ending.
    threads = {
        name: threading.Thread(target=_run, args=(name, check, found[name]), daemon=True)
        for name, check in checks.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + seconds
    for name, thread in threads.items():
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            late = Finding(name, "warning", f"no answer in {seconds:.0f} s", "look at it by hand")
            found[name] = [*found[name], late]
    return [finding for findings in found.values() for finding in findings]


def _run(name: str, check: Check, found: list[Finding]) -> None:
    try:
        found.extend(check())
    except Exception as error:  # a broken installation breaks in any way
        said = " ".join(f"{type(error).__name__}: {error}".split())
        found.append(Finding(name, "warning", f"could not be looked at ({said})"))
