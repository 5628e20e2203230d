"""Weights & Biases: a run's local record, replayed while it is written or at any time later.

The W&B run has ppr's run id. The n-th record of metrics.jsonl is W&B's step n, so that W&B itself
says how many it has when a resumed run goes on; the axis shown is the record's own `step`. What
went wrong with W&B is never the run's trouble: `ppr track` sends the rest later.

An offline record is written whole each time, in place of the one before it: it is then complete
whatever became of the run, and `wandb sync` needs to know of one folder only.
"""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from ppr.config.compose import recorded
from ppr.errors import BadRequest, PprError, RunFailed
from ppr.fields import Literal
from ppr.paths import expanded
from ppr.registry import component
from ppr.results import tree
from ppr.results.failure import reason
from ppr.results.files import check_as, read_object, write_json
from ppr.results.lock import holder
from ppr.results.summary import read_summary
from ppr.trackers.tail import Mark, Rewritten, Tail
from ppr.trackers.wandb_account import (
    base_url,
    environment_mode,
    has_key,
    named_url,
    require_writable,
    unreachable,
)
from ppr.trackers.wandb_result import log_result
from ppr.urls import without_userinfo

FOLDER = "wandb"
"""In the run directory: what has been sent, and W&B's own files."""
SENT = "sent.json"
_LOOK_SECONDS = 1.0
# W&B's own limits: validate_run_tags and validate_project in wandb/sdk/wandb_settings.py, 0.31.
_LONGEST_TAG, _LONGEST_PROJECT, _NOT_IN_PROJECT = 64, 128, "/\\#?%:"


@dataclass(frozen=True)
class _Sent:
    """What `sent.json` says of a mode: how far the log has gone to a project, and where that is."""

    project: tuple[str | None, str]
    where: str
    complete: bool
    offset: int
    sha256: str


@component("tracker")
class Wandb:
    """
    Args:
        project: where the runs appear; unset: WANDB_PROJECT, else ppr.
        entity: whose project it is; unset: WANDB_ENTITY, else the account's own.
        mode: offline writes a record that `wandb sync` uploads later; unset: WANDB_MODE, else
            online.
        group: unset: the sweep that the run is part of.
        tags: beside the experiment and the scale, which every run has.
        folder: for W&B's own files; unset: the run directory.
    """

    def __init__(
        self,
        *,
        project: str | None = None,
        entity: str | None = None,
        mode: Literal["online", "offline"] | None = None,
        group: str | None = None,
        tags: list[str] = [],  # noqa: B006  a field's default is a literal, and is not changed
        folder: str | None = None,
    ) -> None:
        self.project = project or os.environ.get("WANDB_PROJECT") or "ppr"
        self.entity = entity or os.environ.get("WANDB_ENTITY") or None
        self.mode = mode or environment_mode()
        self.group, self.tags, self.folder = group, tags, folder

    def check(self) -> None:
        """Refuse what cannot work, before anything is trained.

        Raises:
            BadRequest: wandb is not installed, takes no such name, cannot write to `folder`, or is
                to be online and has no key.
        """
        if importlib.util.find_spec("wandb") is None:
            raise BadRequest("tracker=wandb needs wandb: pip install 'ppr[wandb]'")
        if len(self.project) > _LONGEST_PROJECT or set(self.project) & set(_NOT_IN_PROJECT):
            raise BadRequest(
                f"tracker.project={self.project!r}: W&B takes at most {_LONGEST_PROJECT} "
                f"characters and none of {' '.join(_NOT_IN_PROJECT)}"
            )
        for tag in self.tags:
            if not 0 < len(tag) <= _LONGEST_TAG:
                raise BadRequest(
                    f"tracker.tags: {tag!r}: W&B takes tags of 1 to {_LONGEST_TAG} characters"
                )
        if self.folder:
            require_writable(expanded(self.folder, "tracker.folder"))
        if self.mode == "online" and not has_key():
            raise BadRequest(
                f"tracker=wandb: no key for {base_url()}; run `wandb login`, set WANDB_API_KEY, "
                "or use tracker.mode=offline"
            )

    def replay(self, folder: Path, over: Event) -> str:
        """Send what W&B lacks of the run in `folder`, and what comes until `over`; says where.

        Raises:
            RunBusy: another process is sending this run.
            RunFailed: W&B cannot be reached or refuses; the same call goes on later.
        """
        while not (folder / tree.CONFIG).exists():  # it is written when the data has been read
            if over.wait(_LOOK_SECONDS):
                return ""
        if self.mode == "online" and (failure := unreachable()):
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
                except Exception as error:  # W&B's client raises what its libraries do
                    raise RunFailed(f"W&B ({base_url()}): {reason(error)}") from error

    @staticmethod
    def _claim(folder: Path, held: ExitStack, patient: bool) -> None:
        """One sender a run; who follows a resumed run waits for who followed it before."""
        while True:
            try:
                held.enter_context(tree.claim(folder / FOLDER))
                return
            except tree.RunBusy:
                if not patient:
                    who = holder(folder / FOLDER)
                    raise tree.RunBusy(f"it is being sent already, by {who}") from None
                time.sleep(_LOOK_SECONDS)

    def sent(self, folder: Path) -> dict[str, Any]:
        """What is known to have gone to this project: `offset`, `sha256`, `complete`, `where`."""
        found = self._all_sent(folder).get(self.mode) or {}
        return found if found.get("project") == (self.entity, self.project) else {}

    def forget(self, folder: Path) -> None:
        """Send all of it anew the next time, in place of what W&B has."""
        if self.mode == "online":  # an offline record is written whole in any case
            write_json(folder / FOLDER / SENT, self._all_sent(folder) | {self.mode: None})

    def _all_sent(self, folder: Path) -> dict[str, Any]:
        """What the note says, by mode; nothing of one that is damaged: then all is sent anew."""
        path = folder / FOLDER / SENT
        try:
            found = read_object(path) if path.exists() else {}
            return {mode: vars(check_as(said, _Sent, mode)) for mode, said in found.items() if said}
        except RunFailed:
            return {}

    def _note(self, folder: Path, mark: Mark, where: str, complete: bool = False) -> None:
        note = {"project": [self.entity, self.project], "where": where, "complete": complete}
        sent = self._all_sent(folder) | {self.mode: note | asdict(mark)}
        write_json(folder / FOLDER / SENT, sent)

    def _send(self, folder: Path, over: Event) -> str:
        before = self.sent(folder)
        if self.mode == "offline" and before:
            _remove(Path(before["where"]))
            before = {}
        mark = Mark(before["offset"], before["sha256"]) if before else Mark()
        tail = Tail(folder / tree.METRICS, mark)
        first = tail.read()  # before W&B is asked: it may show that all must be sent anew
        run = self._open(folder, resume=bool(before))
        offline = self.mode == "offline"
        where = str(Path(run.dir).parent) if offline else without_userinfo(str(run.url))
        self._note(folder, tail.mark, where)
        complete = ended = False
        try:
            step, has = 0, run.starting_step
            while not ended:
                ended = over.is_set()  # asked before reading: nothing is written after it is set
                records = first + tail.read(recheck=ended)
                first = []
                for record in records:
                    if step >= has:
                        run.log(_numbers(record), step=step)
                    step += 1
                if records:
                    self._note(folder, tail.mark, where)
                if not ended:
                    over.wait(_LOOK_SECONDS)
            if tree.state(folder.resolve()) == "finished":
                log_result(run, folder, step)
                complete = True
        finally:
            run.finish(exit_code=0 if complete else 1)
        self._note(folder, tail.mark, where, complete)
        return where

    def _open(self, folder: Path, resume: bool) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")  # the setting alone lets some lines through
        if named := named_url():
            os.environ["WANDB_BASE_URL"] = named  # for W&B's own, without a password
        import wandb

        values = tree.read_config(folder)
        name = "/".join(folder.resolve().parts[-3:])
        identity = _run_id(folder, values)
        own = values["experiment"], values["scale"]
        root = expanded(self.folder, "tracker.folder") if self.folder else folder
        require_writable(root)
        settings = wandb.Settings(
            console="off",
            silent=True,
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,  # of the process that replays, which says nothing of the run
            x_disable_stats=True,
            x_save_requirements=False,
        )
        if named:
            settings.base_url = named  # W&B reads the environment once a process
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            id=identity,
            name=name,
            group=self.group or _sweep(folder, values, identity),
            job_type=values["task"]["name"],
            tags=list(dict.fromkeys([*(tag[:_LONGEST_TAG] for tag in own), *self.tags])),
            config=values,
            dir=str(root),
            # Unset, W&B puts the new run in the place of one with the same id.
            resume="allow" if resume else None,
            settings=settings,
        )
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        return run


def _remove(record: Path) -> None:
    """Delete an offline record, and nothing else that a damaged note may name."""
    if record.name.startswith("offline-run-") and any(record.glob("*.wandb")):
        shutil.rmtree(record)


def _run_id(folder: Path, values: Mapping[str, Any]) -> str:
    """As recorded; a run under way has no summary yet."""
    summary = read_summary(folder.resolve())
    return str(summary["run_id"]) if summary and "run_id" in summary else recorded(values).run_id


def _sweep(folder: Path, values: Mapping[str, Any], identity: str) -> str | None:
    """The newest sweep with this run."""
    from ppr.results.sweeps import sweeps

    key = (values["experiment"], identity)
    found = [
        sweep.id
        for sweep in sweeps(folder.resolve().parents[2])[0]
        if any((point.experiment, point.run_id) == key for point in sweep.points)
    ]
    return found[-1] if found else None


def _numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: null in the log is a number that was not finite."""
    return {key: math.nan if value is None else value for key, value in record.items()}
