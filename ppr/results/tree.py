"""The results tree: where runs lie, what state they are in, what they say.

    <root>/<experiment>/<variant>/seed=<n>/     a live run
    <root>/<name>.jsonl                         published runs, a line each (published.py)
    <root>/attestations.jsonl                   runs done again with later code (attestations.py)
    <root>/roundings.jsonl                      runs done again with two numbers of threads

Beside the runs under any root stand those that are published with ppr itself; a run that the root
has too, live or published, is the root's.

Reading trusts nothing. What is torn, edited by hand, of another schema, not finite or not where it
says it is becomes a `Problem`; it is never averaged in, and never stops the rest being read.
Names that start with a dot are left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ppr.config.places import shipped_records
from ppr.config.yaml_files import read_yaml
from ppr.errors import BadRequest, RunFailed
from ppr.results import attestations, roundings
from ppr.results.attestations import Attestation
from ppr.results.files import parse_json, read_object
from ppr.results.lock import HOLDER, LOCK, RunBusy, claim, is_held
from ppr.results.metrics import metrics, value
from ppr.results.published import Reader
from ppr.results.roundings import Rounding
from ppr.results.summary import SCHEMA, SUMMARY, check_summary, read_summary

__all__ = [
    "CHECKPOINTS", "CONFIG", "ENVIRONMENT", "FAILURE", "HOLDER", "LOCK", "METRICS", "PRUNED",
    "REQUEST", "SCHEMA", "SUMMARY", "TIMING", "Problem", "Record", "RunBusy", "Scan", "State",
    "claim", "metrics", "published_files", "read_config", "record_digest", "records",
    "scan", "state", "value",
]  # fmt: skip

CONFIG = "config.yaml"
REQUEST = "request.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
CHECKPOINTS = "checkpoints"
FAILURE = "failure.json"
PRUNED = "pruned.json"

State = Literal["finished", "running", "failed", "pruned", "interrupted", "absent", "damaged"]
"""`damaged`: its summary is there and cannot be used; `scan` has such a run as a problem."""

_DIGEST = 12
RATES = ("train_seconds", "samples_per_second")
"""Costs of one machine's one hour: neither signed nor published."""
_VARIANT = re.compile(r"[0-9a-f]{10}")
_SEED = re.compile(r"seed=(0|-?[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Record:
    """One run. `summary` is empty unless it is finished; `path` is None for a published one."""

    experiment: str
    variant: str
    seed: int
    path: Path | None
    state: State
    summary: Mapping[str, Any]
    source: Path
    """The run directory, or the published file, that this was read from."""
    line: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All of a published run: summary, config and environment."""

    @property
    def published(self) -> bool:
        """Whether it was read from a published file, not from a run directory."""
        return self.path is None

    def config(self) -> dict[str, Any]:
        """The run's config; empty if it was killed before that was written.

        Raises:
            RunFailed: it cannot be read.
        """
        return self._part("config", CONFIG)

    def environment(self) -> dict[str, Any]:
        """Where the run was run; empty if it was killed before that was written.

        Raises:
            RunFailed: it cannot be read.
        """
        return self._part("environment", ENVIRONMENT)

    def _part(self, name: str, filename: str) -> dict[str, Any]:
        if self.path is None:
            found = self.line.get(name) or {}
            if not isinstance(found, dict):
                raise RunFailed(f"{self.source}: {name}: not a mapping")
            return found
        file = self.path / filename
        if self.state != "finished" and not file.exists():
            return {}
        return read_config(self.path) if filename == CONFIG else read_object(file)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the tree that cannot be used, and why, in one line."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look through the tree found."""

    records: list[Record]
    problems: list[Problem]
    attestations: list[Attestation] = field(default_factory=list)
    roundings: list[Rounding] = field(default_factory=list)


def record_digest(
    summary: Mapping[str, Any], config: Mapping[str, Any], environment: Mapping[str, Any]
) -> str:
    """Of SHA-256 over a run's config, results, code and environment: an edit by hand shows."""
    content = {key: value for key, value in without_rates(summary).items() if key != "digest"}
    text = json.dumps([content, config, environment], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def without_rates(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary less how fast its run trained."""
    cost = summary.get("cost")
    if not isinstance(cost, dict):
        return dict(summary)
    return {**summary, "cost": {key: value for key, value in cost.items() if key not in RATES}}


def state(path: Path) -> State:
    """Where the run in directory `path` stands."""
    try:
        if read_summary(path) is not None:
            return "finished"
        if is_held(path):
            return "running"
        if read_summary(path) is not None:  # it finished between the two looks
            return "finished"
    except RunFailed:
        return "damaged"
    ends: dict[str, State] = {FAILURE: "failed", PRUNED: "pruned"}
    ended = next((ends[name] for name in ends if (path / name).exists()), None)
    return ended or ("interrupted" if path.is_dir() else "absent")


def records(root: str | Path) -> list[Record]:
    """Every usable run under `root`; `scan` tells the unusable ones too."""
    return scan(root).records


def scan(root: str | Path, *, published: bool = True) -> Scan:
    """Every run under `root`, live or published, those that ship with ppr, and every problem.

    A finished run appears once: a live one wins over a published one, a root's over a shipped one.
    With `published` false only what was run under `root` is seen.
    """
    found: list[Record] = []
    problems: list[Problem] = []
    for item in _live(Path(root)):
        (found if isinstance(item, Record) else problems).append(item)  # type: ignore[arg-type]
    finished = {_key(record): record for record in found if record.state == "finished"}
    for item, own in _published(Path(root)) if published else ():
        if isinstance(item, Problem):
            problems.append(item)
            continue
        known = finished.setdefault(_key(item), item)
        if known is item:
            found.append(item)
        elif own and known.path is None and known.summary != item.summary:
            name = f"{item.experiment}/{item.variant}/seed={item.seed}"
            reason = f"{name} is published with other results in {known.source}"
            problems.append(Problem(item.source, reason))
    found.sort(key=_key)
    attested: list[Attestation] = []
    turned: list[Rounding] = []
    for folder in _roots(Path(root)):
        for each in attestations.read(folder):
            if isinstance(each, Attestation):
                attested.append(each)
            else:
                problems.append(Problem(folder / attestations.FILE, each))
        for other in attestations.read_lines(folder, Rounding, roundings.FILE):
            if isinstance(other, Rounding):
                turned.append(other)
            else:
                problems.append(Problem(folder / roundings.FILE, other))
    return Scan(found, problems, attested, turned)


def _key(record: Record) -> tuple[str, str, int]:
    return record.experiment, record.variant, record.seed


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(
            (entry for entry in entries if entry.name[0] != "." and entry.is_dir()),
            key=lambda entry: entry.name,
        )


def _live(root: Path) -> Iterator[Record | Problem]:
    if not root.is_dir():
        return
    for experiment in _folders(root):
        try:
            for variant in _folders(experiment.path):
                for run in _folders(variant.path):
                    if run.name.startswith("seed="):
                        yield _live_run(Path(run.path), experiment.name, variant.name)
        except OSError as error:
            yield Problem(Path(error.filename or experiment), error.strerror or str(error))


def _live_run(path: Path, experiment: str, variant: str) -> Record | Problem:
    try:
        if not _VARIANT.fullmatch(variant):
            raise RunFailed(f"{variant!r} is not a variant: ten hexadecimal digits")
        seed = _SEED.fullmatch(path.name)
        if seed is None:
            raise RunFailed(f"{path.name!r} is not seed=<integer>")
        return _read_run(path, experiment, variant, int(seed[1]))
    except RunFailed as error:
        return Problem(path, str(error))
    except OSError as error:
        return Problem(path, error.strerror or str(error))


def _read_run(path: Path, experiment: str, variant: str, seed: int) -> Record:
    summary = read_summary(path)
    if summary is None:
        standing = state(path)
        if standing != "finished":
            return Record(experiment, variant, seed, path, standing, {}, path)
        summary = read_summary(path) or {}  # it finished between the two looks
    return Record(experiment, variant, seed, path, "finished", summary, path)


def published_files(root: Path) -> list[Path]:
    """The files of published runs, those of the root before those that ship with ppr."""
    return [
        path
        for folder in _roots(root)
        for path in sorted(folder.glob("[!.]*.jsonl"))
        if path.name not in (attestations.FILE, roundings.FILE)
    ]


def _roots(root: Path) -> list[Path]:
    """A tree, and what is published with ppr, unless that is the tree itself."""
    shipped = shipped_records()
    beside = shipped is not None and shipped.resolve() != root.resolve()
    return [root, shipped] if shipped is not None and beside else [root]


def _published(root: Path) -> Iterator[tuple[Record | Problem, bool]]:
    """Each published run or problem, and whether it lies under the root itself."""
    for path in published_files(root):
        for item in _lines(path):
            yield item, path.parent == root


def _lines(path: Path) -> Iterator[Record | Problem]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        yield Problem(path, error.strerror or str(error))
        return
    reader = Reader()
    for number, data in enumerate(lines, start=1):
        try:
            line = reader.whole(parse_json(data, f"line {number}"))
            summary = check_summary(line.get("summary"))
        except RunFailed as error:
            reason = str(error)
            at = "" if reason.startswith("line ") else f"line {number}: "
            yield Problem(path, at + reason)
            continue
        key = (summary["experiment"], summary["variant"], summary["seed"])
        yield Record(*key, None, "finished", summary, path, line)


def read_config(folder: Path) -> dict[str, Any]:
    """The config that a run directory holds.

    Raises:
        RunFailed: it is not there, not YAML, or not a mapping.
    """
    path = folder / CONFIG
    try:
        return read_yaml(path)
    except OSError as error:
        raise RunFailed(f"{path}: cannot read: {error.strerror or error}") from error
    except BadRequest as error:  # a torn file of a run is not the request's fault
        raise RunFailed(str(error)) from None
