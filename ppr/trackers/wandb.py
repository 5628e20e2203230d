"""Weights & Biases: a run's local record, replayed while it is written or at any time later.

The W&B run has ppr's run id. The n-th record of metrics.jsonl is W&B's step n, so that W&B itself
says how many it has when a resumed run goes on; the axis shown is the record's own `step`. What
went wrong with W&B is never the run's trouble: `ppr track` sends the rest later.

An offline record is written whole each time, in place of the one before it: it is then complete
whatever became of the run, and `wandb sync` needs to know of one folder only.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ppr.config.compose import recorded
from ppr.errors import BadRequest
from ppr.fields import Literal
from ppr.paths import expanded
from ppr.registry import component
from ppr.results.summary import read_summary
from ppr.trackers.tracker import Tracker, Writer, require, require_writable
from ppr.trackers.wandb_account import (
    base_url,
    environment_mode,
    has_key,
    named_url,
    unreachable,
)
from ppr.trackers.wandb_result import log_result
from ppr.urls import without_userinfo

# W&B's own limits: validate_run_tags and validate_project in wandb/sdk/wandb_settings.py, 0.31.
_LONGEST_TAG, _LONGEST_PROJECT, _NOT_IN_PROJECT = 64, 128, "/\\#?%:"


@component("tracker")
class Wandb(Tracker):
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

    folder_name: ClassVar[str] = "wandb"

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
        self.project_name = project or os.environ.get("WANDB_PROJECT") or "ppr"
        self.entity = entity or os.environ.get("WANDB_ENTITY") or None
        self.mode = mode or environment_mode()
        self.whole = self.mode == "offline"
        self.group, self.tags, self.folder = group, tags, folder

    def check(self) -> None:
        """Refuse what cannot work, before anything is trained.

        Raises:
            BadRequest: wandb is not installed, takes no such name, cannot write to `folder`, or is
                to be online and has no key.
        """
        require("wandb", "wandb")
        name = self.project_name
        if len(name) > _LONGEST_PROJECT or set(name) & set(_NOT_IN_PROJECT):
            raise BadRequest(
                f"tracker.project={name!r}: W&B takes at most {_LONGEST_PROJECT} "
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

    @property
    def service(self) -> str:  # type: ignore[override]
        return f"W&B ({base_url()})"

    @property
    def project(self) -> tuple[str | None, ...]:
        return self.entity, self.project_name

    def unreachable(self) -> str:
        return unreachable() if self.mode == "online" else ""

    def remove(self, where: Path) -> None:
        if where.name.startswith("offline-run-") and any(where.glob("*.wandb")):
            shutil.rmtree(where)

    def open(self, folder: Path, values: Mapping[str, Any], *, resume: bool) -> Writer:
        os.environ.setdefault("WANDB_SILENT", "true")  # the setting alone lets some lines through
        if named := named_url():
            os.environ["WANDB_BASE_URL"] = named  # for W&B's own, without a password
        import wandb

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
            project=self.project_name,
            entity=self.entity,
            mode=self.mode,  # type: ignore[arg-type]  # one of its literals
            id=identity,
            name=name,
            group=self.group or _sweep(folder, values, identity),
            job_type=values["task"]["name"],
            tags=list(dict.fromkeys([*(tag[:_LONGEST_TAG] for tag in own), *self.tags])),
            config=dict(values),
            dir=str(root),
            # Unset, W&B puts the new run in the place of one with the same id.
            resume="allow" if resume else None,
            settings=settings,
        )
        run.define_metric("step", hidden=True)
        run.define_metric("*", step_metric="step")
        offline = self.mode == "offline"
        return _Run(run, str(Path(run.dir).parent) if offline else without_userinfo(str(run.url)))


class _Run:
    """A run of W&B's client."""

    def __init__(self, run: Any, where: str) -> None:
        self.run, self.where, self.has = run, where, int(run.starting_step)

    def log(self, record: Mapping[str, Any], number: int) -> None:
        self.run.log(_numbers(record), step=number)

    def flush(self) -> None:
        """Its own process sends what it has."""

    def result(self, folder: Path, number: int) -> None:
        log_result(self.run, folder, number)

    def close(self, complete: bool) -> None:
        self.run.finish(exit_code=0 if complete else 1)


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
