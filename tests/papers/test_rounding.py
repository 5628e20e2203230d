"""Cells that another order of the same sums turns: found, kept, said; no verdict rests on one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from claims_toy import GREATER, make_paper, record, resolve
from paper_toy import invoke

from ppr.errors import BadRequest
from ppr.papers import threads
from ppr.papers.cells import Results, cells
from ppr.papers.claims import judge
from ppr.papers.threads import with_threads
from ppr.report.sheet import fill, notes
from ppr.results import roundings
from ppr.results.attestations import add_lines, read_lines, signed
from ppr.results.roundings import FILE, Rounding
from ppr.results.tree import Record, Scan, scan

pytest_plugins = ("paper_tree",)

RUNS = {"a_x": [93.9, 94.6, 95.1], "b_x": [80.0, 81.0, 82.0]}
PLACE = "probe/top1"


def rounding(of: Record, one: float | None, other: float | None) -> Rounding:
    return signed(
        Rounding(
            *(of.experiment, of.variant, of.seed),
            record=of.summary["digest"],
            threads=(1, 2),
            one={PLACE: one},
            other={PLACE: other},
            environment={},
            finished="now",
        )
    )


def tree(one: float | None, other: float | None) -> Results:
    """Of the first seed of A the two values, in a table of fractions."""
    records = [record(e, seed, v) for e, found in RUNS.items() for seed, v in enumerate(found)]
    return Results(resolve, Scan(records, [], [], [rounding(records[0], one, other)]))


def paper(**claim: object):  # type: ignore[no-untyped-def]
    return make_paper({"c": {**GREATER, **claim}}, seeds=3)


# The other seeds, 94.6 and 95.1, have a standard deviation of 0.354; four of them are 1.414.
MOVES = {
    "nothing": (93.9, 93.9, False),
    "as far as training on another path": (93.9, 92.5, False),
    "farther than seeds differ": (93.9, 92.4, True),
    "86.2 on another machine": (93.9, 86.2, True),
    "to nothing": (93.9, None, True),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_seed_turns_that_moves_by_more_than_seeds_differ(name: str) -> None:
    one, other, turns = MOVES[name]
    filled = tree(one, other).fill(cells("t", paper().tables["t"])[0])
    assert bool(filled.turns) == turns


def test_no_verdict_rests_on_a_cell_that_turns() -> None:
    (firm,) = judge(paper(), tree(93.9, 93.9))
    assert firm.outcome == "reproduced"
    (found,) = judge(paper(), tree(93.9, 86.2))
    assert found.outcome == "inconclusive"
    assert found.reason.startswith(firm.reason)
    assert found.reason.endswith(
        "rests on what turns with the rounding: t.A.x (seed 0: 93.9 with 1, 86.2 with 2 threads)"
    )
    (refuted,) = judge(paper(test="less"), tree(93.9, 86.2))
    assert refuted.outcome == "inconclusive"
    (exact,) = judge(
        make_paper(
            {"c": {"test": "exact", "cells": ["t.A.x"], "at_least": 0, "precision": 0}}, seeds=3
        ),
        tree(93.9, 86.2),
    )
    assert exact.outcome == "inconclusive"


def test_a_table_says_which_of_its_cells_turns() -> None:
    said = list(notes(fill(paper(), "t", tree(93.9, 86.2))))
    (line,) = [line for line in said if "rounding" in line]
    assert line == (
        "Warning: A, x: turns with the rounding: seed 0: 93.9 with 1, 86.2 with 2 threads"
    )


def test_only_the_record_that_was_done_again_is_spoken_of() -> None:
    results = tree(93.9, 86.2)
    (known,) = results._roundings.values()
    results._roundings = {"another": replace(known, record="another")}
    assert not results.fill(cells("t", paper().tables["t"])[0]).turns


def test_roundings_lie_beside_the_records(root: Path) -> None:
    """The toy's runs, done with 1 and 2 threads, are small enough to give the same bits."""
    shown = invoke("verify", "toy", "--rerun", "1", "--threads", "2")
    assert shown.exit_code == 0
    assert ": 1 and 2 threads give " in shown.output
    (kept,) = read_lines(root, Rounding, FILE)
    assert isinstance(kept, Rounding)
    assert kept.threads == (1, 2)
    assert kept.record in {r.summary.get("digest") for r in scan(root).records}
    (root / FILE).write_text(
        (root / FILE).read_text().replace('"threads":[1,2]', '"threads":[1,4]')
    )
    shown = invoke("verify", "toy")
    assert shown.exit_code == 1
    assert f"{FILE}" in shown.output
    assert "its digest does not fit: it has been edited" in shown.output


def test_published_records_take_their_roundings_along(root: Path, tmp_path: Path) -> None:
    seen = scan(root)
    done = next(r for r in seen.records if r.state == "finished" and r.experiment == "toy_fast")
    add_lines(root, Rounding, FILE, [rounding(done, 1.0, 2.0)], [done.summary["digest"]])
    invoke("publish", "toy", "--to", str(tmp_path / "clone"))
    assert (tmp_path / "clone" / FILE).read_bytes() == (root / FILE).read_bytes()


def test_a_run_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = record("a_x", 0, 1.0)
    answers = {1: [one], 2: ["no such data"]}
    monkeypatch.setattr(threads, "_again", lambda records, number, folder: answers[number])
    assert list(with_threads([one], (1, 2), tmp_path)) == [
        "a_x/0123456789/seed=0: cannot be done again: no such data"
    ]


def test_values_that_differ_are_kept_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, other = record("a_x", 0, 0.939), record("a_x", 0, 0.862)
    for each in (one, other):
        each.summary["metrics"]["probe"]["loss"] = 0.5
    answers = {1: [one], 2: [other]}
    monkeypatch.setattr(threads, "_again", lambda records, number, folder: answers[number])
    (found,) = with_threads([one], (1, 2), tmp_path)
    assert isinstance(found, Rounding)
    assert (found.one, found.other) == ({PLACE: 0.939}, {PLACE: 0.862})


def test_threads_of_no_run_are_refused(root: Path) -> None:
    with pytest.raises(BadRequest, match=r"^--threads: of how many runs\? --rerun N"):
        invoke("verify", "toy", "--threads", "2")
    assert not (root / roundings.FILE).exists()
