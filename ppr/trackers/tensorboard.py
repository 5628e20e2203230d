"""TensorBoard: a run's local record as an event file, for `tensorboard --logdir results`.

The file is written whole each time, in place of the one before it; while a run trains it grows. The
axis is the record's own `step`. Configs and final metrics stand in its HPARAMS table too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ppr.paths import expanded
from ppr.registry import component
from ppr.results.metrics import flatten, metrics
from ppr.results.summary import read_summary
from ppr.trackers.tracker import Tracker, Writer, require, require_writable

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_EVENTS = "events.out.tfevents.*"


@component("tracker")
class TensorBoard(Tracker):
    """
    Args:
        folder: event files lie there, in EXPERIMENT/VARIANT/seed=N; unset: the run directory, in
            tensorboard/.
    """

    folder_name: ClassVar[str] = "tensorboard"
    service = "TensorBoard"

    def __init__(self, *, folder: str | None = None) -> None:
        self.folder = expanded(folder, "tracker.folder") if folder else None

    @property
    def project(self) -> tuple[str | None, ...]:
        return (str(self.folder.resolve()) if self.folder else None,)

    def check(self) -> None:
        require("tensorboard", "tensorboard")
        if self.folder:
            require_writable(self.folder)

    def open(self, folder: Path, values: Mapping[str, Any], *, resume: bool) -> Writer:
        del resume  # written whole
        from torch.utils.tensorboard import SummaryWriter

        own = folder.resolve()
        where = self.folder.resolve().joinpath(*own.parts[-3:]) if self.folder else None
        where = where or own / self.folder_name
        for before in where.glob(_EVENTS):
            before.unlink()
        return _Events(SummaryWriter(str(where)), str(where), values)


class _Events:
    """An event file."""

    has = 0

    def __init__(self, writer: SummaryWriter, where: str, values: Mapping[str, Any]) -> None:
        self.writer, self.where, self.values = writer, where, values
        self._step = 0

    def log(self, record: Mapping[str, Any], number: int) -> None:
        self._step = int(record.get("step", number))
        for key, value in record.items():
            number_of = math.nan if value is None else value
            if key != "step" and isinstance(number_of, int | float):
                self.writer.add_scalar(key, number_of, self._step)

    def flush(self) -> None:
        self.writer.flush()

    def result(self, folder: Path, number: int) -> None:
        from torch.utils.tensorboard.summary import hparams

        del number
        found = metrics(read_summary(folder.resolve()) or {})
        for name, value in found.items():
            self.writer.add_scalar(f"result/{name}", value, self._step)
        said = {
            key: value if isinstance(value, bool | int | float | str) else str(value)
            for key, value in flatten(self.values, ".").items()
        }
        shown = {f"result/{name}": value for name, value in found.items()}
        for summary in hparams(said, shown):  # type: ignore[no-untyped-call]
            self.writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]

    def close(self, complete: bool) -> None:
        del complete
        self.writer.close()
