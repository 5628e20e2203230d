"""Tables at the widths of terminals: names and numbers whole, nothing left out."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ppr.display.terminal import Cell, print_table, result_table, text

WIDTHS = (60, 80, 100, 120)
RUNS = ["experiment", "variant", "seed", "state", "linear/top1", "validation/knn/top1", "when"]


def shown(columns: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    print_table(columns, rows, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_number_and_first_name_stands_whole(width: int) -> None:
    rows: list[list[Cell]] = [
        [f"supcon_cifar100_number_{i}", "d775cac660", i, "finished", 0.9 + i / 1000, 0.87, "12:00"]
        for i in range(9)
    ]
    lines = shown(RUNS, rows, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for row in rows:
        assert {row[0], text(row[4]), "0.8700"} <= {*words}


@pytest.mark.parametrize("width", WIDTHS)
def test_an_interval_is_never_broken(width: int) -> None:
    """It holds spaces, at which a column of text may be broken."""
    intervals = [(f"98.{i} ± 0.2 (n=5)", f"0.{i} ± 0.01 (n=5)") for i in (1, 2)]
    rows = [["Cross-entropy", *each, "a b " * 30] for each in intervals]
    lines = shown(["", "accuracy", "ece", "why"], rows, width)
    for row in rows:
        assert all(any(cell in line for line in lines) for cell in row[:3])


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z_]{1,24}", fullmatch=True),
            st.floats(-1e6, 1e6),
            st.from_regex(r"[a-z]{1,30}( [a-z]{1,9}){0,6}", fullmatch=True),
            st.integers(0, 10**9),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(40, 130),
)
def test_no_letter_is_lost_and_no_line_too_long(
    rows: list[tuple[str, float, str, int]], width: int
) -> None:
    lines = shown(["name", "metric/of/it", "what it says", "count"], rows, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for name, value, said, number in rows:
        assert {name, text(value), str(number)} <= {*words}
        assert {*said} - {" "} <= {*"".join(words)}


def test_a_narrow_table_goes_on_below_with_its_first_column() -> None:
    cells: list[Cell] = ["a_long_name", 0.1234, 0.5678, 0.9012]
    lines = shown(["run", "first", "second", "third"], [cells], 28)
    assert [line.split() for line in lines] == [
        ["run", "first", "second"],
        ["a_long_name", "0.1234", "0.5678"],
        [],
        ["run", "third"],
        ["a_long_name", "0.9012"],
    ]


def test_what_is_too_wide_even_alone_is_folded() -> None:
    lines = shown(["run", "path"], [["a" * 30, "b" * 50]], 20)
    letters = "".join(lines)
    assert (letters.count("a"), letters.count("b")) == (30 + 1, 50)  # the head has an a


def test_a_pipe_gets_a_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "top1", "why"], [["a [b]", 0.5, "w " * 200], ["longer", None, "x"]], "T")
    title, head, first, second = capsys.readouterr().out.splitlines()
    assert title == "T"
    assert head == "name      top1  why"
    assert first.startswith("a [b]   0.5000  w w")
    assert second == "longer       -  x"


@pytest.mark.parametrize("columns", [["a"], ["a", "b"]])
def test_a_table_without_rows_is_its_head(
    columns: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(columns, [])
    assert capsys.readouterr().out.split() == columns


def test_wide_letters_are_measured_as_they_are_shown() -> None:
    (_, one, two) = shown(["name", "x"], [["数据", "ab"], ["data", "ab"]], 60)
    assert (one, two) == ("数据  ab", "data  ab")


def test_a_head_breaks_at_its_slashes_only_where_it_must() -> None:
    wide = shown(["run", "validation/knn/top1"], [["a", 0.5]], 60)
    assert wide[0].split() == ["run", "validation/knn/top1"]
    narrow = shown(["run", "validation/knn/top1"], [["a", 0.5]], 20)
    assert [line.split() for line in narrow[:2]] == [["validation/knn/"], ["run", "top1"]]


def test_result_table_has_a_column_a_stage() -> None:
    summary = {
        "metrics": {"linear": {"top1": 0.9}, "knn": {"top1": 0.8}},
        "untrained": {"linear": {"top1": 0.6}},
        "best": {"epoch": 3, "chosen_by": "validation/knn/top1", "metrics": {"knn": {"top1": 0.7}}},
    }
    columns, rows = result_table(summary)
    assert columns == ["metric", "untrained", "last", "best"]
    assert rows == [["linear/top1", 0.6, 0.9, None], ["knn/top1", None, 0.8, 0.7]]
    columns, rows = result_table({"metrics": {"gap": 1}, "best": None})
    assert (columns, rows) == (["metric", "last"], [["gap", 1.0]])
