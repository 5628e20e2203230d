"""Cells with a reported and a reproduced value, and how the one lies to the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from claims_toy import make_paper, results
from click.testing import CliRunner

import ppr.cli.papers
from ppr.papers.board import Standing
from ppr.papers.files import Reference
from ppr.papers.pairs import Fate, Pair, fate, pairs, told

# Difference, half-width, allowed -> where it falls.
FALLS: dict[tuple[float, float | None, float], Fate] = {
    (0.04, 0.01, 0.05): "within",
    (-0.04, 0.01, 0.05): "within",
    (0.05, 0.0, 0.05): "within",
    (0.55 - 0.5, 0.0, 0.05): "within",
    (0.04, 0.02, 0.05): "undecided",
    (0.06, 0.02, 0.05): "undecided",
    (0.06, 0.005, 0.05): "outside",
    (-0.06, 0.0, 0.05): "outside",
    (0.0, None, 0.05): "undecided",
    (9.0, None, 0.05): "undecided",
}


@pytest.mark.parametrize("case", FALLS)
def test_the_whole_interval_counts(case: tuple[float, float | None, float]) -> None:
    assert fate(*case) == FALLS[case]


def found(claims: dict[str, dict[str, object]], **runs: list[float]) -> list[Pair]:
    paper = make_paper(claims, seeds=max(map(len, runs.values())))
    return [pair for pair in pairs(paper, results(runs)) if pair.table == "t"]


MATCHES = {"c": {"test": "matches", "cells": ["t.A"], "tolerance": 0.4}}


def test_a_pair_has_what_the_claim_allows_and_what_no_seed_moves() -> None:
    (pair,) = found({}, a_x=[10.6, 10.6], b_x=[1.0, 2.0])
    assert (pair.cell, pair.reported, pair.reproduced) == ("t: A, x", "10", "10.6")
    assert (pair.n, pair.allowed, pair.fate) == (2, 0.5, "outside")
    (pair,) = found(MATCHES, a_x=[10.6, 10.6])
    assert (pair.allowed, pair.fate) == (0.9, "within")


def test_a_pair_has_the_reported_interval_and_its_own() -> None:
    (pair,) = found({}, b_y=[10.9, 11.0, 11.1])  # reported 10 ± 1, known to 0.5
    assert (pair.reproduced, pair.n, pair.allowed, pair.fate) == ("11.00 ± 0.25", 3, 1.5, "within")
    (pair,) = found({}, b_y=[10.9])
    assert (pair.reproduced, pair.n, pair.fate) == ("10.9", 1, "undecided")


def test_cells_papers_and_fates_are_counted() -> None:
    one = found({}, a_x=[10.6, 10.6], b_y=[10.9, 11.0, 11.1])
    assert told([one, [], one[1:]]) == (
        "3 cells of 2 papers with a reported and a reproduced value: "
        "2 within, 0 undecided, 1 outside"
    )


def test_the_command_lists_them(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Reference("mine", "Mine", 2020, "f", True, Path("mine.yaml"))
    standing = Standing(pairs=tuple(found({}, a_x=[10.6, 10.6])))
    board = [(paper, standing), (Reference("b", "B", 2020, "f", False, Path("b")), Standing())]
    monkeypatch.setattr(ppr.cli.papers, "board", lambda *_: board)
    called = CliRunner().invoke(ppr.cli.papers.command, ["--reported"], catch_exceptions=False)
    lines = [line.split() for line in called.output.splitlines() if line]
    assert lines[0] == ["mine"]
    assert lines[2] == ["t:", "A,", "x", "10", "10.6", "2", "0.5", "outside"]
    assert lines[3][:5] == ["1", "cell", "of", "1", "paper"]
    assert len(lines) == 4
    called = CliRunner().invoke(ppr.cli.papers.command, ["--reported", "--json"])
    (cell,) = json.loads(called.output)["cells"]
    assert (cell["paper"], cell["row"], cell["fate"]) == ("mine", "A", "outside")
