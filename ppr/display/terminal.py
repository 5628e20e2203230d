"""Tables on the terminal, laid out so that no name vanishes and no number is cut.

rich draws them; its own way to narrow a table takes the widest column's letters first and crops
what is left, so the widths are worked out here. Where the columns do not fit beside each other,
the table goes on below, its first column repeated. A pipe gets a row a line, however wide.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppr.results.metrics import flatten, is_number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MISSING = "-"
_NUMERIC = re.compile(r"[-+±]?\.?\d")
_GAP = 2
_WORD = 16
"""Letters of a word in a column of text that are kept together where there is no room."""
_UNBOUNDED = 1_000_000

Cell = str | int | float | None


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    title: str = "",
    styles: Mapping[str, str] | None = None,
    console: Console | None = None,
) -> None:
    """Print a table; columns of numbers are aligned to the right.

    `styles` gives the rich style of a cell by its text: `{"failed": "red"}`.
    """
    import click
    from rich.text import Text

    console = console or make_console()
    cells = [[text(cell) for cell in row] for row in rows]
    with console.capture() as captured:
        if title:
            console.print(Text(title, "bold"))
        for at, (widths, part) in enumerate(_parts(columns, cells, console.width)):
            if at:
                console.print()
            console.print(_table(columns, cells, part, widths, styles or {}))
    lines = captured.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines), file=console.file)


def make_console() -> Console:
    """Standard output, which has no width unless a person looks at it."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_UNBOUNDED)


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


def _parts(
    columns: Sequence[str], rows: Sequence[Sequence[str]], room: int
) -> Iterator[tuple[list[int], list[int]]]:
    """The widths and the indices of the columns that stand beside each other, part by part."""
    least, whole = zip(*(_bounds(i, columns, rows) for i in range(len(columns))), strict=True)
    part = [0]
    for index in range(1, len(columns)):
        if len(part) > 1 and _taken(least, [*part, index]) > room:
            yield _shared(least, whole, part, room), part
            part = [0]
        part = [*part, index]
    yield _shared(least, whole, part, room), part


def _bounds(index: int, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """The least width of a column, numbers and the names in the first whole, and that of all."""
    from rich.cells import cell_len

    cells = [row[index] for row in rows]
    widest = max(map(cell_len, cells), default=0)
    head = max(map(cell_len, _pieces(columns[index])), default=0)
    if index == 0 or _is_numeric(cells):
        return max(widest, head), max(widest, cell_len(columns[index]))
    word = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
    return max(min(word, _WORD), head), max(widest, cell_len(columns[index]))


def _pieces(head: str) -> list[str]:
    """What a head may be broken into."""
    return re.findall(r"[^/\s]+/?|/", head)


def _taken(widths: Sequence[int], part: Sequence[int]) -> int:
    return sum(widths[index] for index in part) + _GAP * (len(part) - 1)


def _shared(least: Sequence[int], whole: Sequence[int], part: list[int], room: int) -> list[int]:
    """The width of each column of a part; the columns that lack the least are served first."""
    widths = {index: least[index] for index in part}
    spare = room - _taken(least, part)
    if spare < 0:  # two columns alone are too wide: both are folded, and nothing is lost
        half = max(1, (room - _GAP * (len(part) - 1)) // len(part))
        narrow = min(part, key=lambda index: widths[index])
        kept = min(widths[narrow], half)
        return [
            kept if index == narrow else max(1, room - _GAP * (len(part) - 1) - kept)
            for index in part
        ]
    wanting = sorted(part, key=lambda index: whole[index] - least[index])
    for at, index in enumerate(wanting):
        given = min(whole[index] - least[index], spare // (len(wanting) - at))
        widths[index] += given
        spare -= given
    return [widths[index] for index in part]


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    part: Sequence[int],
    widths: Sequence[int],
    styles: Mapping[str, str],
) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    heads = [_broken(columns[index], width) for index, width in zip(part, widths, strict=True)]
    lines = max(map(len, heads))
    for index, head, width in zip(part, heads, widths, strict=True):
        table.add_column(
            Text("\n".join([""] * (lines - len(head)) + head)),  # heads stand on their columns
            justify="right" if _is_numeric([row[index] for row in rows]) else "left",
            overflow="fold",
            width=width,
        )
    for row in rows:
        # Text, so that a name with brackets is not read as markup.
        table.add_row(*(Text(row[index], style=styles.get(row[index], "")) for index in part))
    return table


def _broken(head: str, width: int) -> list[str]:
    """The lines of a head, broken at its slashes where it is too wide."""
    lines = [""]
    for piece in re.findall(r"[^/\s]+/?\s*|/\s*", head):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


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
    paths = dict.fromkeys(path for found in stages.values() for path in found)
    rows: list[list[Cell]] = [
        [path, *(_as_float(found.get(path)) for found in stages.values())] for path in paths
    ]
    return ["metric", *stages], rows
