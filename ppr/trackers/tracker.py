"""What every tracker does: replay a run's local record, while it is written or at any time later.

A tracker is one file, a `Tracker` that opens a `Writer`, and `configs/tracker/<name>.yaml`. What is
here reads the record, notes how far it has been sent, goes on where it was left, and sends all anew
where the record has been written otherwise since. What goes wrong is never the run's trouble:
`ppr track` sends the rest later.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, ClassVar, Protocol

from ppr.errors import BadRequest, PprError, RunFailed
from ppr.results import tree
from ppr.results.failure import reason
from ppr.results.files import check_as, read_object, write_json
from ppr.results.lock import holder
from ppr.trackers.tail import Mark, Rewritten, Tail

SENT = "sent.json"
_LOOK_SECONDS = 1.0


class Writer(Protocol):
    """One run that is being sent. `where` is told to the user; `has` is how many records of
    metrics.jsonl the tracker has from before."""

    where: str
    has: int

    def log(self, record: Mapping[str, Any], number: int) -> None:
        """The record of that number, from 0; null in it is a number that was not finite."""

    def flush(self) -> None:
        """What was logged is to be seen now."""

    def result(self, folder: Path, number: int) -> None:
        """The run in `folder` is finished; `number` records came before."""

    def close(self, complete: bool) -> None: ...


@dataclass(frozen=True)
class _Sent:
    """What the note says of a mode: how far the log has gone to a project, and where that is."""

    project: tuple[str | None, ...]
    where: str
    complete: bool
    offset: int
    sha256: str


class Tracker(ABC):
    """
    `folder_name`: in the run directory, for the note of what was sent and for files of its own.
    `service`: what errors begin with. `whole`: the record is written anew each time, in place of
    the one before it, which is then complete whatever became of the run.
    """

    folder_name: ClassVar[str]
    service: str
    mode: str = "files"
    whole: bool = True

    @abstractmethod
    def check(self) -> None:
        """Refuse what cannot work, before anything is trained.

        Raises:
            BadRequest: what it lacks, and what to do.
        """

    @property
    @abstractmethod
    def project(self) -> tuple[str | None, ...]:
        """Of what it was sent to: sent elsewhere, it is sent anew."""

    @abstractmethod
    def open(self, folder: Path, values: Mapping[str, Any], *, resume: bool) -> Writer:
        """Begin to send the run in `folder`, of the config `values`, or go on where it was left."""

    def remove(self, where: Path) -> None:  # noqa: B027  `open` may put it in its place
        """Delete what was written whole before, and nothing else that a damaged note may name."""

    def unreachable(self) -> str:
        """Why nothing can be sent now, in a line; nothing if it can."""
        return ""

    def replay(self, folder: Path, over: Event) -> str:
        """Send what it lacks of the run in `folder`, and what comes until `over`; says where.

        Raises:
            RunBusy: another process is sending this run.
            RunFailed: it cannot be reached or refuses; the same call goes on later.
        """
        while not (folder / tree.CONFIG).exists():  # it is written when the data has been read
            if over.wait(_LOOK_SECONDS):
                return ""
        if failure := self.unreachable():
            raise RunFailed(failure)
        with ExitStack() as held:
            self._claim(folder, held, patient=not over.is_set())
            while True:
                try:
                    return self._send(folder, over)
                except Rewritten:
                    self.forget(folder)
                except PprError:
                    raise
                except Exception as error:  # a client raises what its libraries do
                    raise RunFailed(f"{self.service}: {reason(error)}") from error

    def sent(self, folder: Path) -> dict[str, Any]:
        """What is known to have gone to this project: `offset`, `sha256`, `complete`, `where`."""
        found = self._all_sent(folder).get(self.mode) or {}
        return found if found.get("project") == self.project else {}

    def forget(self, folder: Path) -> None:
        """Send all of it anew the next time, in place of what is there."""
        if not self.whole:  # else that is done in any case
            write_json(self._note_file(folder), self._all_sent(folder) | {self.mode: None})

    def _claim(self, folder: Path, held: ExitStack, patient: bool) -> None:
        """One sender a run; who follows a resumed run waits for who followed it before."""
        place = folder / self.folder_name
        while True:
            try:
                held.enter_context(tree.claim(place))
                return
            except tree.RunBusy:
                if not patient:
                    who = holder(place)
                    raise tree.RunBusy(f"it is being sent already, by {who}") from None
                time.sleep(_LOOK_SECONDS)

    def _note_file(self, folder: Path) -> Path:
        return folder / self.folder_name / SENT

    def _all_sent(self, folder: Path) -> dict[str, Any]:
        """What the note says, by mode; nothing of one that is damaged: then all is sent anew."""
        path = self._note_file(folder)
        try:
            found = read_object(path) if path.exists() else {}
            return {mode: vars(check_as(said, _Sent, mode)) for mode, said in found.items() if said}
        except RunFailed:
            return {}

    def _note(self, folder: Path, mark: Mark, where: str, complete: bool = False) -> None:
        note = {"project": list(self.project), "where": where, "complete": complete}
        sent = self._all_sent(folder) | {self.mode: note | asdict(mark)}
        write_json(self._note_file(folder), sent)

    def _send(self, folder: Path, over: Event) -> str:
        before = self.sent(folder)
        if self.whole and before:
            self.remove(Path(before["where"]))
            before = {}
        mark = Mark(before["offset"], before["sha256"]) if before else Mark()
        tail = Tail(folder / tree.METRICS, mark)
        first = tail.read()  # before it is opened: it may show that all must be sent anew
        writer = self.open(folder, tree.read_config(folder), resume=bool(before))
        self._note(folder, tail.mark, writer.where)
        complete = ended = False
        try:
            number = 0
            while not ended:
                ended = over.is_set()  # asked before reading: nothing is written after it is set
                records = first + tail.read(recheck=ended)
                first = []
                for record in records:
                    if number >= writer.has:
                        writer.log(record, number)
                    number += 1
                if records:
                    writer.flush()
                    self._note(folder, tail.mark, writer.where)
                if not ended:
                    over.wait(_LOOK_SECONDS)
            if tree.state(folder.resolve()) == "finished":
                writer.result(folder, number)
                complete = True
        finally:
            writer.close(complete)
        self._note(folder, tail.mark, writer.where, complete)
        return writer.where


def require(package: str, tracker: str) -> None:
    """
    Raises:
        BadRequest: the package that a tracker stands on is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise BadRequest(f"tracker={tracker} needs {package}: pip install 'ppr[{tracker}]'")


def require_writable(folder: Path) -> None:
    """Some would write elsewhere, to the folder of temporary files, without a word.

    Raises:
        BadRequest: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadRequest(
            f"tracker.folder={folder}: cannot be written ({error.strerror or error})"
        ) from None
