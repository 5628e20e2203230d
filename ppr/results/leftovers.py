"""What a kill leaves beside the summary of a run that had finished."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ppr.errors import RunFailed
from ppr.results.files import asides
from ppr.results.lock import RunBusy, claim
from ppr.results.summary import read_summary
from ppr.results.tree import CHECKPOINTS


def drop_leftovers(folder: Path) -> None:
    """Remove a finished run's checkpoints, and files written aside; nothing while it is held.

    A finished run is not claimed again by who only looks at it, so who asks for it does this.
    """
    if (folder / CHECKPOINTS).exists() or asides(folder):
        with suppress(RunBusy, RunFailed), claim(folder):  # the claim removes what lies aside
            if read_summary(folder) is not None:
                shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
