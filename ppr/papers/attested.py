"""What runs done again say of records whose components are of other code today.

A refactoring changes the code of a component and no number. Whether that is so is not for reading
the code to say but for a run: done again, it either gives the numbers of its record or does not.
An attestation is such a run (ppr/results/attestations.py). It speaks of what each evaluator
measured, and of other records too, where the same code has become the same other code: first of
those of its own variant, and, where a variant has none of its own, of those of its experiment with
the same task and the same options of the component. Numbers among these may differ, but for one
being zero; flags, words and what is unset may not, for they choose what code is run.

The numbers are the same where they are the same bits; or those that the record's own commit gives
on the same machine; or, where that was not tried, what another processor may make of them
(ppr/papers/again.py). Of several runs that speak, all must say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ppr.config import code
from ppr.papers.records import outdated
from ppr.results.attestations import Attestation
from ppr.results.metrics import flatten, measured, quantity
from ppr.results.tree import Record, Scan

Key = tuple[str, str]
"""Experiment and variant."""


@dataclass(frozen=True)
class Evidence:
    """What was found of a component's other code. `own`: by runs of the record's own variant."""

    same: bool
    says: str
    own: bool = False


@dataclass(frozen=True)
class Changes:
    """Components of other code, each with what is known: those that may give other numbers, empty
    where nothing is known, and those that give the same.
    """

    older: dict[str, str]
    same: dict[str, str]


class Attested:
    """The attestations of a results tree that belong to a record in it."""

    def __init__(self, seen: Scan) -> None:
        self._variants: dict[Key, list[Record]] = {}
        records: dict[Any, Record] = {}
        self._runs: dict[str, list[tuple[Attestation, Record]]] = {}
        self._said: dict[tuple[str, str], Evidence | None] = {}
        self._kinds: dict[tuple[Key, str], Any] = {}
        if not seen.attestations:
            return
        for record in seen.records:
            if record.state == "finished":
                self._variants.setdefault((record.experiment, record.variant), []).append(record)
                records[record.summary.get("digest")] = record
        for each in seen.attestations:
            found = records.get(each.record)
            if found is not None and not misfit(each, found):
                self._runs.setdefault(each.experiment, []).append((each, found))

    def changes(self, record: Record, metric: str) -> Changes:
        """The components behind a metric of a record that are of other code."""
        changes = Changes({}, {})
        for each in outdated(record, metric):
            found = self.evidence(record, metric, each)
            among = changes.same if found and found.same else changes.older
            among[each] = found.says if found else ""
        return changes

    def evidence(self, record: Record, metric: str, component: str) -> Evidence | None:
        """What is known of a component of a record that is of other code; None if nothing is."""
        change = code.recorded(record.summary).get(component), code.today(component)
        quantity = evaluator_of(metric)
        heard = [
            (each, other, said)
            for each, other in self._runs.get(record.experiment, ())
            if each.components.get(component) == change and (said := self._says(each, quantity))
        ]
        own = [each for each in heard if each[1].variant == record.variant]
        itself = [each for each in own if each[1].seed == record.seed]
        chosen = itself or own
        if not chosen and heard:
            kind = self.kind(record, component)
            chosen = [each for each in heard if self.kind(each[1], component) == kind]
        if not chosen:
            return None
        said = min((said for _, _, said in chosen), key=lambda each: each.same)
        return Evidence(said.same, said.says, own=bool(own))

    def kind(self, record: Record, component: str) -> Any:
        """The task of a run and the options of a component in it, less the size of numbers."""
        key = (record.experiment, record.variant), component
        if key not in self._kinds:
            self._kinds[key] = kind(record.config(), component)
        return self._kinds[key]

    def _says(self, each: Attestation, quantity: str) -> Evidence | None:
        """What an attestation says of all that one evaluator measured; None if it did not."""
        key = each.record, quantity
        if key not in self._said:
            record = next(r for a, r in self._runs[each.experiment] if a is each)
            beside = self._variants[record.experiment, record.variant]
            self._said[key] = _verdict(each, record, quantity, beside)
        return self._said[key]


def misfit(each: Attestation, record: Record) -> str:
    """Why an attestation cannot be of the record that it names; empty if it can."""
    if each.key != (record.experiment, record.variant, record.seed):
        return f"its record is that of {record.experiment}/{record.variant}/seed={record.seed}"
    then = code.recorded(record.summary)
    for component, (before, _) in each.components.items():
        if then.get(component) != before:
            return f"{component} was {then.get(component)} in its record, not {before}"
    unknown = sorted({*each.metrics, *(each.control or ())} - measured(record.summary).keys())
    return f"its record has no metric {unknown[0]}" if unknown else ""


def evaluator_of(metric: str) -> str:
    """The evaluator behind a metric, or the part of a study's: the first word of its name."""
    return quantity(metric).partition("/")[0]


def kind(config: Mapping[str, Any], component: str) -> Any:
    group, name = component.split("/", 1)
    node = config.get(group) or {}
    nodes = list(node.values()) if group == "evaluator" else [node]
    own = [flatten(each, ".") for each in nodes if name in _words(each)]
    task = (config.get("task") or {}).get("name")
    options = [sorted((key, _less_size(value)) for key, value in each.items()) for each in own]
    return task, sorted(options)


def _words(node: Mapping[str, Any]) -> list[str]:
    return [value.partition("/")[0] for value in node.values() if isinstance(value, str)]


def _less_size(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | list):
        return repr(value)
    return "numbers" if isinstance(value, list) else "a number" if value else "0"


def _verdict(
    each: Attestation, record: Record, quantity: str, beside: Iterable[Record]
) -> Evidence | None:
    recorded = {m: v for m, v in measured(record.summary).items() if evaluator_of(m) == quantity}
    if not recorded:
        return None
    now = {metric: each.metrics.get(metric, value) for metric, value in recorded.items()}
    other = [metric for metric in recorded if metric in each.metrics]
    if not other:
        return Evidence(True, "gave the same bits")
    if each.control is not None:
        moved = [metric for metric in recorded if metric in each.control]
        if not moved:
            return Evidence(True, "gave the same bits as its own commit on that machine")
        found = _farthest(moved, now, each.control, "by its own commit")
        return Evidence(False, f"gave other numbers: {found}")
    from ppr.papers.again import compare

    summary = {"metrics": {metric: value for metric, value in now.items() if value is not None}}
    again = Record(
        *each.key, None, "finished", summary, record.source, {"environment": each.environment}
    )
    falls = {c.metric: c.fall for c in compare([(record, again)], beside) if c.metric in recorded}
    outside = [metric for metric, fall in falls.items() if fall == "outside"]
    found = _farthest(outside or other, now, recorded, "recorded")
    if outside:
        return Evidence(False, f"gave other numbers: {found}")
    return Evidence(True, f"came as near as another processor does: {found}")


def _farthest(
    metrics: Iterable[str],
    now: Mapping[str, float | None],
    before: Mapping[str, float | None],
    origin: str,
) -> str:
    """`linear/top1 0.931, recorded 0.94 (by 0.01 of its size)`, of the one that moved most."""

    def off(metric: str) -> float:
        a, b = now[metric], before[metric]
        return abs(a - b) / (max(abs(a), abs(b)) or 1) if None not in (a, b) else 2.0  # type: ignore[operator, arg-type]

    most = max(metrics, key=off)
    values = ["nothing" if v is None else f"{v:.6g}" for v in (now[most], before[most])]
    far = f" (by {off(most):.1g} of its size)" if None not in (now[most], before[most]) else ""
    return f"{most} {values[0]}, {origin} {values[1]}{far}"
