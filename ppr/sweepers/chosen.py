"""What a search chose for each method of its comparison, on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppr.display.terminal import count, print_table
from ppr.results import tree
from ppr.sweepers.objective import best_value

if TYPE_CHECKING:
    from ppr.results.sweeps import Sweep

OWN_VALUES = "its own values"


def chosen(sweep: Sweep) -> list[dict[str, Any]]:
    """For each method: how many trials it has and how many are over, the best one and its words."""
    return [_best(sweep, method) for method in _methods(sweep)]


def _methods(sweep: Sweep) -> Sequence[Mapping[str, Any]]:
    if "methods" in sweep.search:
        found: Sequence[Mapping[str, Any]] = sweep.search["methods"]
        return found
    whole = {"method": sweep.search["method"], "trials": sweep.search["trials"]}
    points = list(range(len(sweep.points)))
    return [whole | {"points": points, "objective": sweep.search["objective"]}]


def _best(sweep: Sweep, method: Mapping[str, Any]) -> dict[str, Any]:
    search = {**sweep.search, "objective": method["objective"]}
    values: dict[int, float] = {}
    pruned = 0
    for index in method["points"]:
        folder = sweep.run_folder(index)
        state = tree.state(folder)
        pruned += state == "pruned"
        value = best_value(folder, search) if state == "finished" else None
        if value is not None:
            values[index] = value
    row = {
        "method": method["method"],
        "trials": method["trials"],
        "finished": len(values),
        "pruned": pruned,
        "objective": method["objective"],
        "value": None,
        "words": [],
        "run": None,
        "folder": None,
    }
    if values:
        sign = 1 if search["direction"] == "maximise" else -1
        best = max(values, key=lambda index: (sign * values[index], -index))
        words = [w for w in sweep.points[best].words if w.split("=", 1)[0] in search["searched"]]
        where = str(sweep.run_folder(best))
        row |= {"value": values[best], "words": words, "run": best, "folder": where}
    return row


def print_chosen(sweep: Sweep) -> None:
    """The table of what was chosen."""
    rows = chosen(sweep)
    pruned = sum(row["pruned"] for row in rows)
    ended = sum(row["finished"] for row in rows) + pruned
    total = count(sum(row["trials"] for row in rows), "trial")
    also = f", {pruned} of them pruned" if pruned else ""
    columns = ["method", "trials", "best on validation", "metric", "chosen"]
    cells = [
        [
            row["method"],
            row["finished"] + row["pruned"],
            row["value"],
            row["objective"].removeprefix("validation/"),
            (" ".join(row["words"]) or OWN_VALUES) if row["run"] is not None else None,
        ]
        for row in rows
    ]
    print_table(columns, cells, title=f"{ended} of {total} over{also}; chosen on validation")
