"""Reported values: how their digits are kept, how they were read, and what is as near as that."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from claims_toy import make_paper, results
from scipy import stats

from ppr.config.yaml_files import Written, read_yaml
from ppr.errors import BadRequest
from ppr.papers.claims import Verdict, judge
from ppr.papers.files import read
from ppr.papers.reported import Value, readings

PAPER = """\
title: T
year: 2020
family: f
tables:
  t:
    title: t
    scale: desk
    metric: probe/top1
    rows: {{A: a, B: b}}
    columns: {{x: x, y: y}}
    cell: experiment=${{row}}_${{column}}
    reported:
      {reported}
"""


def values(tmp_path: Path, reported: str) -> dict[str, dict[str, Value]]:
    file = tmp_path / "mine.yaml"
    file.write_text(PAPER.format(reported=reported.replace("\n", "\n      ")))
    found = read(file).tables["t"].reported
    assert found is not None
    return found.values


# Digits as they are written -> as shown, and how far off the value may be.
WRITTEN = {
    "97.50": ("97.50", 0.005),
    "97.5": ("97.5", 0.05),
    "97": ("97", 0.5),
    "24000": ("24000", 0.5),
    "24e3": ("24e3", 500),
    "1.50e-3": ("1.50e-3", 5e-6),
    "-0.0": ("-0.0", 0.05),
    ".25": (".25", 0.005),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_printed_value_is_known_to_the_last_digit_that_is_written(
    text: str, tmp_path: Path
) -> None:
    shown, half_unit = WRITTEN[text]
    for form in (text, f"{{value: {text}}}"):
        value = values(tmp_path, f"source: s\nA: {{x: {form}}}")["A"]["x"]
        assert value.value == float(text)
        assert str(value) == shown
        assert math.isclose(value.read_to, half_unit)


def test_digits_are_kept_where_they_are_asked_for_alone(tmp_path: Path) -> None:
    """Elsewhere a config's number is a float, whatever its digits: its hash must not change."""
    file = tmp_path / "a.yaml"
    file.write_text("a: 97.50\nb: [1e-3, .inf]\n")
    assert type(read_yaml(file)["a"]) is float
    kept = read_yaml(file, written=True)
    assert (kept["a"], kept["a"].text, kept["b"][0].text) == (97.5, "97.50", "1e-3")
    assert kept["b"][1] == math.inf


def test_how_a_value_was_read_is_said_of_the_table_a_row_or_the_value(tmp_path: Path) -> None:
    found = values(
        tmp_path,
        "source: s\nread: figure\nprecision: 0.02\nn: 3\n"
        "A: {x: 0.131, y: {value: 0.190, precision: 0.05}}\n"
        "B:\n  read: computed\n  file: o/r logs/a.pkl\n  commit: 696e2c5\n"
        "  x: 0.1523\n  y: {value: 0.15, read: printed, n: 5}",
    )
    (ax, ay), (bx, by) = (tuple(found[row].values()) for row in "AB")
    assert [v.read for v in (ax, ay, bx, by)] == ["figure", "figure", "computed", "printed"]
    assert [v.read_to for v in (ax, ay, bx, by)] == [0.02, 0.05, 0.00005, 0.005]
    assert [v.n for v in (ax, ay, bx, by)] == [3, 3, 3, 5]
    assert (bx.file, bx.commit, by.file, by.commit) == ("o/r logs/a.pkl", "696e2c5", None, None)
    assert str(ax) == "≈0.131"


def test_a_spread_over_runs_is_an_interval() -> None:
    value = Value.model_validate({"value": 81.2, "spread": 0.4, "n": 5})
    low, high = stats.t.interval(0.95, 4, 0, 0.4 / math.sqrt(5))
    assert math.isclose(value.interval, (high - low) / 2, rel_tol=1e-9)
    assert str(value) == "81.2 ± 0.50 (n=5)"
    of_unknown_n = Value.model_validate({"value": 81.2, "spread": 0.4})
    assert (of_unknown_n.interval, str(of_unknown_n)) == (0.0, "81.2")


def test_what_is_under_a_table_says_how_its_values_were_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    later = "{value: 9.0, later: {value: 8.70, source: README at 05e9b83}}"
    file.write_text(PAPER.format(reported=f"source: s\n      A: {{x: {later}, y: 1}}"))
    reported = read(file).tables["t"].reported
    assert reported is not None
    (said,) = readings(reported)
    assert said == ("Reported, the authors' later code gives 8.70 (README at 05e9b83): A, x.")


BAD = {
    "text": ("A: {x: '97.5'}", "A.x='97.5': must be a number"),
    "a yes": ("A: {x: true}", "A.x.value=True: must be a number"),
    "infinite": ("A: {x: .inf}", "A.x.value=inf: must be a finite number"),
    "a figure without precision": ("A: {x: {value: 1, read: figure}}", "A.x: `read: figure` and"),
    "precision of print": ("precision: 0.1\nA: {x: 1.5}", "A.x: `read: figure` and `precision`"),
    "no precision": ("read: figure\nprecision: 0\nA: {x: 1}", "precision=0: must be greater than"),
    "misspelt reading": ("A: {x: {value: 1, read: figur}}", "A.x.read='figur': must be 'printed'"),
    "misspelt key": ("A: {x: {value: 1, precison: 2}}", "precison: no such key; did you mean 'pre"),
    "misspelt key beside rows": ("redd: figure\nA: {x: 1}", "did you mean 'read'"),
    "misspelt key in a row": ("A: {redd: figure, x: 1}", "did you mean 'read'"),
    "no file": ("A: {x: {value: 1, read: computed, commit: abcdef0}}", "`file` and `commit` go"),
    "a file of print": ("file: a.csv\ncommit: abcdef0\nA: {x: 1}", "`file` and `commit` go"),
    "no commit": ("read: computed\nfile: a\ncommit: main\nA: {x: 1}", "A.x.commit='main': "),
    "two spreads": ("A: {x: {value: 1, half_width: 1, spread: 1, n: 3}}", "not both"),
    "spread of one": ("A: {x: {value: 1, spread: 1, n: 1}}", "`spread` of one run"),
    "no runs": ("A: {x: {value: 1, n: 0}}", "A.x.n=0: must be greater than or equal to 1"),
    "later from nowhere": ("A: {x: {value: 1, later: {value: 2}}}", "A.x.later.source: missing"),
    "later misspelt": ("A: {x: {value: 1, later: {valu: 2}}}", "valu: no such key; did you mean"),
    "a row that is a number": ("A: 97.5", "A=97.5: a row has a mapping of columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_reading_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    given, said = BAD[name]
    with pytest.raises(BadRequest) as error:
        values(tmp_path, f"source: s\n{given}")
    assert said in str(error.value)
    assert "tables.t.reported" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_that_is_called_as_a_key_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"tables\.t\.columns\.n: so is a key of reported values"):
        make_paper({}, columns={"n": "n", "x": "x", "y": "y"})


# --- `matches` ------------------------------------------------------------------------------------

MATCHES = {"test": "matches", "cells": ["t.A.x"]}


def verdict(value: object, runs: list[float], **claim: object) -> Verdict:
    paper = make_paper(
        {"c": {**MATCHES, **claim}}, seeds=len(runs), reported={"source": "s", "A": {"x": value}}
    )
    return judge(paper, results({"a_x": runs}))[0]


FIGURE = {"value": 0.13, "read": "figure", "precision": 0.02}
# Value, tolerance, how far in all: the runs give a value just within, then just beyond.
BOUNDARY = {
    "print": (0.5, {}, 0.05),
    "print to the last zero": ({"value": 97.5}, {"tolerance": 0.1}, 0.15),
    "a figure": (FIGURE, {}, 0.02),
    "a figure and a tolerance": (FIGURE, {"tolerance": 0.01}, 0.03),
    "an interval": ({"value": 81.2, "half_width": 0.3}, {}, 0.35),
    "all": ({"value": 81.2, "half_width": 0.3}, {"tolerance": 0.1}, 0.45),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", BOUNDARY)
def test_what_no_seed_moves_is_held_against_the_precision_itself(name: str, sign: int) -> None:
    value, claim, allowed = BOUNDARY[name]
    centre = value["value"] if isinstance(value, dict) else value
    for factor, outcome in (
        (0.0, "reproduced"),
        (1.0, "reproduced"),  # half a digit away is rounded to it, whatever binary fractions say
        (1.0 + 1e-6, "not reproduced"),
    ):
        found = verdict(value, [centre + sign * factor * allowed] * 2, **claim)
        assert found.outcome == outcome, found
        assert "no seed moves it" in found.reason
        assert f"{allowed:g}" in found.reason


def test_runs_that_differ_are_tested_within_the_precision_not_beyond() -> None:
    near, far = [0.131, 0.129, 0.130], [0.160, 0.159, 0.161]
    assert verdict(FIGURE, near).outcome == "reproduced"
    assert verdict(FIGURE, far).outcome == "not reproduced"
    assert verdict(FIGURE, [0.149, 0.151, 0.150]).outcome == "inconclusive"  # on the boundary
    assert (
        verdict(Written("0.130"), near).outcome == "inconclusive"
    )  # its last digit asks for 0.0005


def test_a_rounded_share_that_is_the_same_for_all_seeds_is_no_certainty() -> None:
    """Two seeds that get the same 97 of 100 right differ elsewhere, so chance is in them."""
    paper = make_paper({"c": MATCHES}, seeds=2, reported={"source": "s", "A": {"x": 0.97}})
    same = results({"a_x": [0.97, 0.97]})
    assert judge(paper, same)[0].outcome == "reproduced"
    for seed, record in enumerate(same._records["a_x", "0123456789"]):
        record.summary["metrics"]["probe"]["loss"] = 0.1 + seed
    same._edited = lambda record: ""  # type: ignore[method-assign]
    found = judge(paper, same)[0]
    assert (found.outcome, "no spread" in found.reason) == ("inconclusive", True)


def test_two_rounded_shares_that_are_the_same_for_all_seeds_are_not_compared_as_certain() -> None:
    paper = make_paper({"c": {"test": "greater", "cells": ["t.A.x", "t.B.x"]}}, seeds=2)
    same = results({"a_x": [0.97, 0.97], "b_x": [0.9, 0.9]})
    assert "no seed moves it" in judge(paper, same)[0].reason
    for cell in ("a_x", "b_x"):
        for seed, record in enumerate(same._records[cell, "0123456789"]):
            record.summary["metrics"]["probe"]["loss"] = 0.1 + seed
    same._edited = lambda record: ""  # type: ignore[method-assign]
    found = judge(paper, same)[0]
    assert (found.outcome, "no spread" in found.reason) == ("inconclusive", True)


def test_a_single_run_shows_nothing() -> None:
    found = verdict(0.5, [0.5])
    assert (found.outcome, "n=1" in found.reason) == ("inconclusive", True)


def test_a_verdict_says_what_its_criterion_is_made_of() -> None:
    said = verdict({"value": 81.2, "half_width": 0.3}, [81.2, 81.2], tolerance=0.1).reason
    assert "against reported 81.2 ± 0.30: " in said
    assert "less than 0.45 (0.05 half its last digit + 0.3 its interval + 0.1 tolerance)" in said
    assert "less than 0.02 read off the figure asked" in verdict(FIGURE, [0.13, 0.13]).reason
    later = {"value": 9.0, "later": {"value": 8.7, "source": "README"}}
    assert "(the authors' later code: 8.7)" in verdict(later, [9.0, 9.0]).reason
