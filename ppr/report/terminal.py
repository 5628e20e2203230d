"""Tables on the terminal: rich where a person looks, plain aligned text where a program reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ppr.results.metrics import flatten, is_number

MISSING = "-"
_NUMERIC = re.compile(r"[-+±.\d]")

Cell = str | int | float | None


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    title: str = "",
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print a table; columns of numbers are aligned to the right.

    `styles` gives the rich style of a cell by its text: `{"failed": "red"}`.
    """
    cells = [[text(cell) for cell in row] for row in rows]
    right = [_is_numeric([row[index] for row in cells]) for index in range(len(columns))]
    if sys.stdout.isatty():
        _print_rich(columns, cells, right, title, styles or {})
    else:
        click.echo(plain_table(columns, cells, right, title))


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def text(cell: Cell) -> str:
    """A cell as shown: four significant digits of a float, MISSING for None."""
    if cell is None:
        return MISSING
    return f"{cell:#.4g}" if isinstance(cell, float) else str(cell)


def _is_numeric(cells: Sequence[str]) -> bool:
    shown = [cell for cell in cells if cell not in ("", MISSING)]
    return bool(shown) and all(_NUMERIC.match(cell) for cell in shown)


def plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str = ""
) -> str:
    """The table as lines of text, columns two spaces apart."""
    lines = [list(columns), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    shown = [
        "  ".join(
            cell.rjust(width) if align else cell.ljust(width)
            for cell, width, align in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join(([title] if title else []) + shown)


def _print_rich(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[bool],
    title: str,
    styles: Mapping[str, str],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, (column, align) in enumerate(zip(columns, right, strict=True)):
        # Of a narrow terminal's columns the first, a long name, gives way; heads break at slashes.
        table.add_column(
            Text(column.replace("/", "/\n")),
            justify="right" if align else "left",
            overflow="fold",
            no_wrap=index > 0,
        )
    for row in rows:
        # Text, so that a name with brackets is not read as markup.
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    Console().print(table)


def _as_float(value: Any) -> Any:
    return float(value) if is_number(value) else value


def result_table(summary: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """The columns and rows that a finished run ends with.

    A row a metric; a column each for the untrained model, the last epoch and the epoch chosen on
    the validation split, where the run has them.
    """
    best = summary.get("best") or {}
    stages: dict[str, dict[str, Any]] = {
        "untrained": flatten(summary.get("untrained") or {}, "/"),
        "last": flatten(summary.get("metrics") or {}, "/"),
        "best": flatten(best.get("metrics") or {}, "/"),
    }
    stages = {name: found for name, found in stages.items() if found or name == "last"}
    titles = {"best": f"best (epoch {best.get('epoch')}, chosen by {best.get('chosen_by')})"}
    paths = dict.fromkeys(path for found in stages.values() for path in found)
    rows: list[list[Cell]] = [
        [path, *(_as_float(found.get(path)) for found in stages.values())] for path in paths
    ]
    return ["metric", *(titles.get(name, name) for name in stages)], rows
