"""Runs to do again so that all other code behind cells is spoken of; doing them.

The fewest and fastest are chosen: of each experiment, runs that between them have every change of
code of a component, with every set of its options, before every evaluator that a cell shows. Where
runs of the experiment disagree about a change, each variant must speak for itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import ppr
from ppr.config import code
from ppr.config.places import Extensions, data_root, run_path
from ppr.errors import PprError, RunFailed
from ppr.papers.again import rerun
from ppr.papers.attested import Attested, evaluator_of
from ppr.papers.cells import Filled
from ppr.papers.records import label
from ppr.results.attestations import Attestation, signed
from ppr.results.failure import now
from ppr.results.metrics import measured, metrics
from ppr.results.summary import read_summary
from ppr.results.tree import Record

_STARTING = 1.0
"""Seconds that any run takes beside what is recorded of it."""

_MACHINE = ("processor", "instructions", "device", "python", "packages")


@dataclass(frozen=True)
class Choice:
    """A record to run again, the words that ask for its run, and what came of it before."""

    record: Record
    words: tuple[str, ...]
    earlier: Attestation | None = None

    @property
    def seconds(self) -> float:
        return _STARTING + metrics(self.record.summary).get("cost/seconds", 0.0)


def choose(
    cells: Iterable[Filled], attested: Attested, earlier: Iterable[Attestation] = ()
) -> list[Choice]:
    """The runs to do again, fastest first, so that every older component of cells is spoken of."""
    known = {each.record: each for each in earlier}
    lacking: set[Any] = set()
    choices: dict[str, Choice] = {}
    for cell in cells:
        for record in cell.records:
            for component in cell.older.get(record.seed, ()):
                change = _change(record, component, evaluator_of(cell.cell.metric), attested)
                found = attested.evidence(record, cell.cell.metric, component)
                if found is None:
                    lacking.add(change)
                elif not found.own:
                    lacking.add((*change, record.variant))
            words = *cell.words, f"seed={record.seed}"
            before = known.get(record.summary["digest"])
            choices.setdefault(label(record), Choice(record, words, before))
    speaks = {
        key: speaking & lacking
        for key, choice in choices.items()
        if (speaking := _changes(choice.record, attested))
    }
    chosen: list[Choice] = []
    while lacking:
        best = max(speaks, key=lambda key: len(speaks[key] & lacking) / choices[key].seconds)
        if not speaks[best] & lacking:
            break  # what is left was measured by no evaluator: seconds, memory
        chosen.append(choices[best])
        lacking -= speaks.pop(best)
    return sorted(chosen, key=lambda choice: choice.seconds)


def _changes(record: Record, attested: Attested) -> set[Any]:
    """All that a run done again can speak of."""
    quantities = {evaluator_of(metric) for metric in measured(record.summary)}
    changed = code.outdated(code.recorded(record.summary))
    if any(code.today(component) is None for component in changed):
        return set()  # it is no longer there, so the run cannot be done again
    every = [_change(record, component, q, attested) for component in changed for q in quantities]
    return {*every, *((*change, record.variant) for change in every)}


def _change(record: Record, component: str, quantity: str, attested: Attested) -> tuple[Any, ...]:
    then = code.recorded(record.summary)[component]
    kind = repr(attested.kind(record, component))
    return record.experiment, component, then, kind, quantity


def attest(choices: Sequence[Choice], folder: Path, jobs: int) -> Iterator[Attestation | str]:
    """Do runs again, several at a time; their attestations, or why there is none, as they come.

    Args:
        folder: a place for their results, and for the code of older commits.

    Raises:
        RunFailed: a process that did one died.
    """
    context = get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, Extensions.present().add)
    try:
        under_way = {executor.submit(attest_one, each, folder): each for each in choices}
        for ended in as_completed(under_way):
            try:
                yield ended.result()
            except BrokenProcessPool as error:
                raise RunFailed("a process that did a run again died") from error
            except PprError as error:
                if error.exit_code == 130:
                    raise
                yield f"{label(under_way[ended].record)}: cannot be done again: {error}"
    finally:
        executor.shutdown(cancel_futures=True)


def attest_one(choice: Choice, folder: Path) -> Attestation:
    """Do a run again, and, where that does not give the same bits, with its record's commit too."""
    record = choice.record
    again = rerun(record, folder / "now")
    recorded, found = measured(record.summary), measured(again.summary)
    before, today = code.recorded(record.summary), code.recorded(again.summary)
    environment = again.environment()
    nothing = dict.fromkeys(recorded)
    found = nothing | {metric: value for metric, value in found.items() if metric in recorded}
    moved = _unlike(recorded, found)
    control = None
    if moved and (by_commit := _by_commit(choice, environment, folder)) is not None:
        control = _unlike(found, nothing | {m: by_commit.get(m) for m in recorded})
    return signed(
        Attestation(
            *(record.experiment, record.variant, record.seed),
            record=record.summary["digest"],
            components={
                each: (then, today[each])
                for each, then in before.items()
                if today.get(each, then) != then
            },
            metrics=moved,
            control=control,
            environment={key: environment[key] for key in _MACHINE},
            code={k: v for k, v in again.summary["code"].items() if k != "components"},
            finished=now(),
        )
    )


def _unlike(these: Mapping[str, Any], those: Mapping[str, Any]) -> dict[str, float | None]:
    """Of those values the ones that are not these."""
    values = {metric: those[metric] for metric, value in these.items() if those[metric] != value}
    return {metric: None if v is None else float(v) for metric, v in values.items()}


def _by_commit(
    choice: Choice, environment: Mapping[str, Any], folder: Path
) -> dict[str, Any] | None:
    """What the run measures, done by ppr as of its record's commit; None where it cannot be.

    What then differs from a run of today on the same machine, the code has changed. Where that has
    been done before on this machine, it is known.
    """
    record, earlier = choice.record, choice.earlier
    if earlier and earlier.control is not None and _same(earlier.environment, environment):
        return measured(record.summary) | earlier.metrics | earlier.control
    written = record.summary.get("code") or {}
    if Extensions.present() != Extensions() or written.get("dirty") or not written.get("commit"):
        return None  # code that no commit has
    source = _source(str(written["commit"]), folder)
    if source is None:
        return None
    root = folder / "then"
    variables = os.environ | {"PYTHONPATH": str(source), "PPR_RESULTS": str(root)}
    if data := data_root(None):
        variables["PPR_DATA"] = str(data.resolve())
    command = [sys.executable, "-m", "ppr", "run", *choice.words]
    subprocess.run(command, cwd=source, env=variables, capture_output=True, check=False)
    with suppress(RunFailed):
        done = read_summary(run_path(root, record.experiment, record.variant, record.seed))
        return done and measured(done)
    return None


def _same(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two environments are to give the same bits: of the packages, those that both name."""
    rest = [key for key in _MACHINE if key != "packages"]
    versions, today = then["packages"], now["packages"]
    return all(then[key] == now[key] for key in rest) and all(
        versions[name] == today[name] for name in versions.keys() & today.keys()
    )


def _source(commit: str, folder: Path) -> Path | None:
    """A copy, for this process alone, of ppr as of a commit of the repository that it lies in."""
    where = folder / f"{commit}-{os.getpid()}"
    if not where.exists():
        home = Path(ppr.__file__).resolve().parent.parent
        git = ["git", "-C", str(home), "archive", commit, "ppr", "configs"]
        try:
            packed = subprocess.run(git, capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
        with tarfile.open(fileobj=BytesIO(packed)) as files:
            files.extractall(where, filter="data")
    return where
