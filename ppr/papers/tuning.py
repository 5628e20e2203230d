"""The choice of a row's settings by its recorded tuning runs: nobody writes it down.

Each point of a row's grid (ppr/papers/tune_schema.py) is run with the tuning seeds, in every
column, and the one with the best mean of the validation metric is chosen; of equal ones the first.
A row's mean is over its columns too, each as much as any other, unless `each: cell` chooses for
every cell by itself. Cells that are of the same words, as columns that show two metrics of one run,
have one choice. Until all these runs are there, there is none.

The best of a grid that lies at an edge of it may be better still beyond: it is tuned no more than
one that was never tried. The edges are the smallest and the largest of a field's numbers; 0, where
none is below, is an end of the field and no edge.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ppr.papers.tune_schema import Grid, Point, text
from ppr.results.metrics import lower_is_better

AT_EDGE = "at its grid's edge"


@dataclass(frozen=True)
class Tried:
    """A point with what its runs gave. `values`: the mean over seeds in each of the columns.

    Empty without a run, or where the metric came out undefined: such a point is never chosen.
    """

    point: Point
    values: Sequence[float] = ()

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None


@dataclass(frozen=True)
class Choice:
    """The grid of a row with what its runs gave. `asked`, `done`: runs.

    `columns`: those that it serves, where it does not serve the whole row.
    """

    row: str
    columns: tuple[str, ...]
    metric: str
    seeds: tuple[int, ...]
    grid: Grid
    tried: tuple[Tried, ...]
    asked: int
    done: int

    @cached_property
    def best(self) -> Tried | None:
        """The point chosen; None as long as runs are missing."""
        if self.done < self.asked:
            return None
        sign = -1 if lower_is_better(self.metric) else 1
        known = [each for each in self.tried if each.mean is not None]
        return max(known, key=lambda each: sign * (each.mean or 0.0), default=None)

    @cached_property
    def edges(self) -> list[str]:
        """The words of the choice that are at an edge of the grid."""
        if self.best is None:
            return []
        spelt = {f"{k}={text(v)}": (v, values) for k, values in self.grid.items() for v in values}
        return [word for word in self.best.point if _is_edge(*spelt[word])]

    @property
    def direction(self) -> str:
        return "lower is better" if lower_is_better(self.metric) else "higher is better"

    @property
    def chosen(self) -> str:
        """`optimizer.lr=0.1`; empty without a choice."""
        return " ".join(self.best.point) if self.best else ""

    @property
    def label(self) -> str:
        """`SupCon`, or `SupCon, CIFAR-10` where each cell has its own."""
        return ", ".join([self.row, *self.columns])


def _is_edge(value: Any, values: Sequence[Any]) -> bool:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < 2 or len(numbers) < len(values):
        return False
    return bool(value == max(numbers) or (value == min(numbers) and value != 0))


def told(choice: Choice) -> str:
    """`SupCon: optimizer.lr=0.1, at its grid's edge (0.01: 0.93; 0.1: 0.95)`."""
    values = "; ".join(_values(choice))
    if choice.best is None:
        return f"{choice.label}: none yet: {choice.done} of {choice.asked} tuning runs ({values})"
    edge = f", {AT_EDGE}" if choice.edges else ""
    return f"{choice.label}: {choice.chosen}{edge} ({values})"


def _values(choice: Choice) -> Iterator[str]:
    """Each point with its mean; of one field, which the choice names, the value alone."""
    for each in choice.tried:
        alone = choice.best is not None and len(each.point) == 1
        words = [each.point[0].partition("=")[2]] if alone else each.point
        mean = "–" if each.mean is None else f"{each.mean:.4g}"
        yield f"{' '.join(words)}: {mean}"


def budgets(found: Sequence[Choice]) -> str:
    """`4 points a row`, or which rows have more: the budget is meant to be one for all."""
    many: dict[int, list[str]] = {}
    for choice in found:
        many.setdefault(len(choice.tried), []).append(choice.row)
    if len(many) == 1:
        return f"{next(iter(many))} points each"
    each = (
        f"{number} points for {', '.join(dict.fromkeys(rows))}"
        for number, rows in sorted(many.items(), reverse=True)
    )
    return f"not the same budget: {'; '.join(each)}"


def as_record(choice: Choice) -> dict[str, Any]:
    """A choice as JSON."""
    return {
        "row": choice.row,
        "columns": list(choice.columns),
        "metric": choice.metric,
        "seeds": list(choice.seeds),
        "chosen": choice.chosen or None,
        "at_edge": choice.edges,
        "points": [
            {"words": list(each.point), "mean": each.mean, "by_column": list(each.values)}
            for each in choice.tried
        ],
        "runs": choice.asked,
        "done": choice.done,
    }


def at_edge(found: Iterable[Choice | None]) -> tuple[str, ...]:
    """The choices that lie at an edge of their grid, each once."""
    lying = (each for each in found if each and each.edges)
    return tuple(dict.fromkeys(f"{each.label} {' '.join(each.edges)}" for each in lying))
