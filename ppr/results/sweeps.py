"""The record of a sweep, `<results>/.sweeps/<id>/sweep.json`: its points and where they were sent.

The id is a hash of the runs, so that the same sweep asked for again is the same record. What became
of the runs is read from the results tree and from SLURM; nothing of it is kept here twice. A search
that learns from its trials has its points in `points.jsonl`, which its workers add to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ppr.commands import command_line
from ppr.config.composed import Config
from ppr.config.places import Extensions, results_root, run_path
from ppr.errors import BadRequest, RunFailed, choices
from ppr.results import tree
from ppr.results.files import MetricsLog, check_as, read_json, read_lines, write_json
from ppr.results.tree import Problem

FOLDER = ".sweeps"
RECORD = "sweep.json"
TRIALS = "points.jsonl"
JOBS = "jobs"
CANCELLED = "cancelled"
_SEARCH_KEYS = {
    "adaptive": ("direction", "epochs", "every", "identity", "lines", "method", "objective",
                 "pruner", "searched", "seed", "trials"),
    "comparison": ("direction", "methods", "searched"),
}  # fmt: skip
"""What ppr.sweepers.records writes that is read back."""
_log = logging.getLogger(__name__)
_LONG = re.compile(r"-?\d+\.\d{5,}(e-?\d+)?|-?\d+\.\d+e-?\d+")
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

    @classmethod
    def of(cls, config: Config) -> Point:
        where = (config.experiment, config.variant, config.seed, config.run_id)
        return cls(config.overrides, *where)


@dataclass
class Submission:
    """Runs handed to a launcher: its config, and job id -> points."""

    time: str
    launcher: dict[str, Any]
    jobs: dict[str, list[int]]


@dataclass
class Record:
    """`sweep.json`. `search`: of a hyper-parameter search, as ppr.sweepers.records has it."""

    words: list[str]
    points: list[Point]
    plugins: list[str]
    config_dirs: list[str]
    submissions: list[Submission] = field(default_factory=list)
    search: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Trial(Point):
    """A line of `points.jsonl`."""

    job: str


@dataclass(kw_only=True)
class Sweep(Record):
    """A sweep's record and where it lies."""

    folder: Path
    taken: dict[int, str] = field(default_factory=dict)
    """The job that last took each point of a search that learns from its trials."""

    @property
    def adaptive(self) -> bool:
        """Whether its points are not known before they are asked for."""
        return "methods" not in self.search and bool(self.search)

    @property
    def extensions(self) -> Extensions:
        return Extensions(tuple(self.plugins), tuple(self.config_dirs))

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def root(self) -> Path:
        return self.folder.parent.parent

    def finished(self, index: int) -> bool:
        return tree.state(self.run_folder(index)) == "finished"

    def command(self, name: str) -> str:
        """The words of `ppr sweep NAME` for this sweep."""
        elsewhere = results_root().resolve() != self.root
        return command_line(
            "sweep", name, self.id, *(["--results", str(self.root)] if elsewhere else [])
        )

    def run_folder(self, index: int) -> Path:
        point = self.points[index]
        return run_path(self.root, point.experiment, point.variant, point.seed)

    def label(self, index: int, *, seed: bool = True) -> str:
        """The words in which a point differs from the others, or its experiment if it is alone.

        Without `seed`, those in which its variant does.
        """
        point = self.points[index]
        own = [word for word in point.words if word not in self.words]
        if not seed:
            own = [word for word in own if not word.startswith("seed=")] or [point.experiment]
        if self.search:
            own = [_LONG.sub(lambda found: f"{float(found[0]):.4g}", word) for word in own]
        return " ".join(own) or f"{point.experiment} seed={point.seed}"

    def jobs(self) -> dict[int, str]:
        """The last job that each point was sent to."""
        return {index: job for job, points in self.points_of_jobs().items() for index in points}

    def points_of_jobs(self) -> dict[str, list[int]]:
        """Every job of the sweep, in the order of submission, with its points."""
        found: dict[str, list[int]] = {}
        for submission in self.submissions:
            for job, points in submission.jobs.items():
                found.pop(job, None)  # the machine's own jobs share a name: the last place counts
                found[job] = points
        for index, job in self.taken.items():
            found[job] = [*found.get(job, []), index]
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
        self.submissions.append(Submission(now, dict(launcher), sent))
        self.write()

    def write(self) -> None:
        content = {field.name: getattr(self, field.name) for field in fields(Record)}
        content["points"] = [] if self.adaptive else [vars(point) for point in self.points]
        content["submissions"] = [vars(submission) for submission in self.submissions]
        write_json(self.folder / RECORD, content)

    def take(self, config: Config, job: str) -> int:
        """Note that a job does a trial; its place. The caller keeps others from it meanwhile."""
        point = Point.of(config)
        with MetricsLog(self.folder / TRIALS) as log:
            log.write({**vars(point), "job": job})
        return self._add(point, job)

    def read_trials(self) -> None:
        """The points so far of a search that learns from its trials, and who took them."""
        self.points, self.taken = [], {}
        path = self.folder / TRIALS
        for number, line in enumerate(read_lines(path) if path.exists() else [], start=1):
            trial = check_as(line, _Trial, f"{path}: line {number}")
            self._add(
                Point(trial.words, trial.experiment, trial.variant, trial.seed, trial.run_id),
                trial.job,
            )

    def _add(self, point: Point, job: str) -> int:
        known = [other.run_id for other in self.points]
        if point.run_id not in known:
            self.points.append(point)
        index = known.index(point.run_id) if point.run_id in known else len(known)
        self.taken[index] = job
        return index


def load(folder: Path) -> Sweep:
    """Read a record.

    Raises:
        RunFailed: it is damaged, or another version wrote it.
    """
    path = folder / RECORD
    record = check_as(read_json(path), Record, str(path))
    sweep = Sweep(**vars(record), folder=folder)
    if not sweep.submissions:
        raise RunFailed(f"{path}: nothing was ever submitted")
    for key in _SEARCH_KEYS["adaptive" if sweep.adaptive else "comparison"] if sweep.search else ():
        if key not in sweep.search:
            raise RunFailed(f"{path}: its search has no {key!r}")
    if sweep.adaptive:
        sweep.read_trials()
    return sweep


def sweeps(root: Path) -> tuple[list[Sweep], list[Problem]]:
    """Every sweep of a results tree, the newest last, and the records that cannot be used."""
    found, problems = [], []
    for folder in _folders(root):
        try:
            found.append(load(folder))
        except RunFailed as error:
            reason = str(error).removeprefix(f"{folder / RECORD}: ")
            problems.append(Problem(folder / RECORD, reason))
    return found, problems


def find(root: Path, name: str | None) -> Sweep:
    """The sweep whose id begins with `name`, or the newest.

    Raises:
        BadRequest: there is none, or several.
        RunFailed: its record is damaged.
    """
    folders = _folders(root)
    matches = [folder for folder in folders if folder.name.startswith(name or "")]
    if not folders:
        raise BadRequest(f"no sweep in {root} yet; start one with ppr run -m")
    if not matches or (name and len(matches) > 1):
        what = "no such sweep" if not matches else "several sweeps begin so"
        raise BadRequest(f"{name}: {what}; {choices(str(name), [f.name for f in folders])}")
    try:
        return load(matches[-1])
    except RunFailed as error:
        raise RunFailed(f"{error}; the words that began the sweep write it anew") from None


def _folders(root: Path) -> list[Path]:
    """The folders of a tree's sweeps, the newest last."""
    records = (root.resolve() / FOLDER).glob(f"*/{RECORD}")
    return [path.parent for path in sorted(records, key=lambda path: path.stat().st_mtime)]
