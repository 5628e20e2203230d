"""Recorded runs done again with two numbers of threads: which of their numbers a rounding decides.

Both runs are done here, with today's code, so that only the order of sums differs between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ppr.config.places import Extensions
from ppr.errors import PprError, RunFailed
from ppr.papers.again import rerun
from ppr.papers.records import label
from ppr.results.attestations import signed
from ppr.results.failure import now
from ppr.results.metrics import measured
from ppr.results.roundings import Rounding
from ppr.results.tree import Record

_MACHINE = ("processor", "instructions", "python", "packages")


def with_threads(
    records: Sequence[Record], threads: tuple[int, int], folder: Path
) -> Iterator[Rounding | str]:
    """What two numbers of threads make of each record's run, or why it cannot be said."""
    found = zip(records, *(_again(records, number, folder) for number in threads), strict=True)
    for record, one, other in found:
        if isinstance(one, str) or isinstance(other, str):
            yield f"{label(record)}: cannot be done again: {one if isinstance(one, str) else other}"
            continue
        before, after = measured(one.summary), measured(other.summary)
        moved = [m for m in before if m in after and before[m] != after[m]]
        environment = one.environment()
        yield signed(
            Rounding(
                *(record.experiment, record.variant, record.seed),
                record=record.summary["digest"],
                threads=threads,
                one={metric: before[metric] for metric in moved},
                other={metric: after[metric] for metric in moved},
                environment={key: environment.get(key) for key in _MACHINE},
                finished=now(),
            )
        )


def _again(records: Sequence[Record], threads: int, folder: Path) -> list[Record | str]:
    """Each run in a process that has so many threads; why not, where it fails."""
    place = folder / str(threads)
    context = get_context("spawn")
    found: list[Record | str] = []
    with ProcessPoolExecutor(1, context, _begin, (Extensions.present(), threads)) as executor:
        for under_way in [executor.submit(rerun, record, place) for record in records]:
            try:
                found.append(under_way.result())
            except BrokenProcessPool as error:
                raise RunFailed("a process that did a run again died") from error
            except PprError as error:
                if error.exit_code == 130:
                    raise
                found.append(str(error))
    return found


def _begin(extensions: Any, threads: int) -> None:
    import torch

    extensions.add()
    torch.set_num_threads(threads)
