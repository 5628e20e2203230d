"""A paper of three rows and two columns whose claims the tests choose, and runs of given values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from signed import signed

from ppr.papers.cells import Results
from ppr.papers.claims import judge
from ppr.papers.schema import Paper, parse
from ppr.papers.verdict import Verdict
from ppr.results.tree import Record, Scan

TABLE = {
    "title": "t",
    "scale": "desk",
    "metric": "probe/top1",
    "rows": {"A": "a", "B": "b", "C.1": "c"},
    "columns": {"x": "x", "y": "y"},
    "cell": "experiment=${row}_${column}",
    "reported": {"source": "table 1", "A": {"x": 10}, "B": {"y": {"value": 10, "half_width": 1}}},
}


def make_paper(claims: Mapping[str, Mapping[str, object]], **changes: object) -> Paper:
    document = {
        "title": "T",
        "year": 2020,
        "family": "f",
        "tables": {"t": {**TABLE, **changes}, "p": {**TABLE, "scale": "paper"}},
        "claims": {
            name: {"says": "s", "kind": "finding", **claim} for name, claim in claims.items()
        },
    }
    return parse(document, "paper", "paper.yaml")


def resolve(overrides: Sequence[str]) -> tuple[str, str]:
    return overrides[0].removeprefix("experiment="), "0123456789"


def record(experiment: str, seed: int, value: float) -> Record:
    summary = signed({"scale": "desk", "metrics": {"probe": {"top1": value}}})
    return Record(experiment, "0123456789", seed, None, "finished", summary, Path("runs.jsonl"))


def results(values: Mapping[str, Sequence[float]]) -> Results:
    records = [record(e, seed, v) for e, found in values.items() for seed, v in enumerate(found)]
    return Results(resolve, Scan(records, []))


def verdict(claim: Mapping[str, object], values: Mapping[str, Sequence[float]]) -> Verdict:
    seeds = max(map(len, values.values()), default=1)
    return judge(make_paper({"c": claim}, seeds=seeds), results(values))[0]


GREATER = {"test": "greater", "cells": ["t.A.x", "t.B.x"]}
