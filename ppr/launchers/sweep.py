"""The record of a sweep, `<results>/.sweeps/<id>/sweep.json`: its points and where they were sent.

The id is a hash of the runs, so that the same sweep asked for again is the same record. What became
of the runs is read from the results tree and from SLURM; nothing of it is kept here twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ppr import registry
from ppr.errors import BadRequest, choices
from ppr.launchers.plan import Plan
from ppr.results import tree
from ppr.results.files import read_json, write_json

FOLDER = ".sweeps"
RECORD = "sweep.json"
JOBS = "jobs"
CANCELLED = "cancelled"
LOCAL = "local"
"""The job of the runs that are done on the machine where the sweep was started."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the words that ask for it, and where it lies in the tree."""

    words: tuple[str, ...]
    experiment: str
    variant: str
    seed: int
    run_id: str


@dataclass
class Sweep:
    """A sweep's record; a submission has `time`, `launcher` and `jobs`, job id -> points."""

    folder: Path
    words: list[str]
    points: list[Point]
    plugins: list[str]
    config_dirs: list[str]
    submissions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def root(self) -> Path:
        return self.folder.parent.parent

    def run_folder(self, index: int) -> Path:
        point = self.points[index]
        return tree.run_path(self.root, point.experiment, point.variant, point.seed)

    def label(self, index: int) -> str:
        """The words in which a point differs from the others, or its experiment if it is alone."""
        point = self.points[index]
        own = [word for word in point.words if word not in self.words]
        return " ".join(own) or f"{point.experiment} seed={point.seed}"

    def jobs(self) -> dict[int, str]:
        """The last job that each point was sent to."""
        return {index: job for job, points in self.points_of_jobs().items() for index in points}

    def points_of_jobs(self) -> dict[str, list[int]]:
        """Every job of the sweep, in the order of submission, with its points."""
        found: dict[str, list[int]] = {}
        for submission in self.submissions:
            for job, points in submission["jobs"].items():
                found.pop(job, None)  # the machine's own jobs share a name: the last place counts
                found[job] = points
        return found

    def local_log(self, index: int) -> Path:
        return self.folder / "logs" / f"{index}.log"

    def job_log(self, job: str) -> Path:
        return self.folder / JOBS / f"{job}_0_log.out"  # submitit's name for task 0 of a job

    @property
    def cancelled(self) -> bool:
        return (self.folder / CANCELLED).exists()

    def submitted(self, launcher: Mapping[str, Any], jobs: Mapping[str, Sequence[int]]) -> None:
        """Note that jobs have been handed over, and write the record."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        sent = {job: list(indices) for job, indices in jobs.items()}
        self.submissions.append({"time": now, "launcher": dict(launcher), "jobs": sent})
        self.write()

    def write(self) -> None:
        content = {key: value for key, value in vars(self).items() if key != "folder"}
        content["points"] = [vars(point) for point in self.points]
        write_json(self.folder / RECORD, content)


def open_sweep(
    plan: Plan, words: Sequence[str], config_dirs: Sequence[Path]
) -> tuple[Sweep, list[int]]:
    """The record of a planned sweep, old or new, and the place of each of the plan's configs."""
    keys = [(config.experiment, config.run_id) for config in plan.configs]
    digest = hashlib.sha256(repr(sorted(keys)).encode()).hexdigest()[:10]
    folder = plan.root.resolve() / FOLDER / digest
    if (folder / RECORD).exists():
        sweep = load(folder)
        index_of = {(p.experiment, p.run_id): index for index, p in enumerate(sweep.points)}
        return sweep, [index_of[key] for key in keys]
    points = [
        Point(config.overrides, config.experiment, config.variant, config.seed, config.run_id)
        for config in plan.configs
    ]
    plugins = [str(path) for path in registry.plugin_files()]
    folders = [str(path.resolve()) for path in config_dirs]
    return Sweep(folder, list(words), points, plugins, folders), list(range(len(points)))


def load(folder: Path) -> Sweep:
    """Read a record.

    Raises:
        RunFailed: it is damaged.
    """
    content = read_json(folder / RECORD)
    points = [Point(**point | {"words": tuple(point["words"])}) for point in content.pop("points")]
    return Sweep(folder, points=points, **content)


def sweeps(root: Path) -> Iterator[Sweep]:
    """Every sweep of a results tree, the newest last."""
    records = (root.resolve() / FOLDER).glob(f"*/{RECORD}")
    for path in sorted(records, key=lambda path: path.stat().st_mtime):
        yield load(path.parent)


def find(root: Path, name: str | None) -> Sweep:
    """The sweep whose id begins with `name`, or the newest.

    Raises:
        BadRequest: there is none, or several.
    """
    folders = sorted(
        (path.parent for path in (root.resolve() / FOLDER).glob(f"*/{RECORD}")),
        key=lambda folder: (folder / RECORD).stat().st_mtime,
    )
    matches = [folder for folder in folders if folder.name.startswith(name or "")]
    if not folders:
        raise BadRequest(f"no sweep in {root} yet; start one with ppr run -m")
    if not matches or (name and len(matches) > 1):
        what = "no such sweep" if not matches else "several sweeps begin so"
        raise BadRequest(f"{name}: {what}; {choices(str(name), [f.name for f in folders])}")
    return load(matches[-1])
