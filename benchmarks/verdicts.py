"""How often a verdict is false: `python benchmarks/verdicts.py [draws]`, by kind of claim and law.

Each claim is judged on its very edge, where neither verdict on it is true, by the code that judges
papers. At most 5 % each may be false: of 2,000 draws of such a rate one sees 4 to 6 %. `skew` is
the share of false verdicts that say of themselves that they do not stand if the skew of the seeds
counts, `far` that of those that name seeds far from the others.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ppr.papers.cells import Cell, Filled
from ppr.papers.claims import judge
from ppr.papers.comparisons import leaders
from ppr.papers.schema import Paper, parse
from ppr.papers.verdict import Verdict
from ppr.results.statistics import far_seeds, mean_interval

Values = NDArray[np.float64]
Law = Callable[[np.random.Generator, int], Values]

P = 0.988
LAWS: Mapping[str, Law] = {
    "normal": lambda g, n: g.normal(0, 1, n),
    "uniform": lambda g, n: g.uniform(-1, 1, n) * 3**0.5,
    "accuracy of 500, 98.8 %": lambda g, n: (
        (g.binomial(500, P, n) / 500 - P) / (P * (1 - P) / 500) ** 0.5
    ),
    "exponential": lambda g, n: g.exponential(1, n) - 1,
    "log-normal, s = 1": lambda g, n: (g.lognormal(0, 1, n) - np.exp(0.5)) / 2.1612,
    "one seed in ten collapses": lambda g, n: g.normal(0, 1, n) - 20 * (g.random(n) < 0.1) + 2,
}
"""Of mean 0, and of standard deviation 1 but for the last."""

TWO = ["t.A.x", "t.B.x"]
EDGES: Mapping[str, tuple[dict[str, object], Mapping[str, float]]] = {
    "greater": ({"test": "greater", "cells": TWO}, {"A": 201, "B": 201}),
    "greater, margin": ({"test": "greater", "cells": TWO, "margin": 2}, {"A": 203, "B": 201}),
    "greater, paired": ({"test": "greater", "cells": TWO, "paired": True}, {"A": 201, "B": 201}),
    "greater than a number": ({"test": "greater", "cells": ["t.A.x"], "than": 201}, {"A": 201}),
    "equal": ({"test": "equal", "cells": TWO, "tolerance": 4}, {"A": 205, "B": 201}),
    "matches": ({"test": "matches", "cells": ["t.A.x"], "tolerance": 4}, {"A": 214}),
    "monotone": (
        {"test": "monotone", "cells": [*TWO, "t.C.x"]},
        {"A": 201, "B": 209, "C": 209},
    ),
    "ratio": ({"test": "ratio", "cells": TWO, "at_least": 2}, {"A": 20, "B": 10}),
}
"""A claim, and the true means at which it is just not so, and its contrary neither.

Far from 0, as 98.8 % is 200 of its standard deviations, but for the ratio."""

PLANS: Mapping[str, dict[str, object]] = {
    "3": {"seeds": 3},
    "5": {"seeds": 5},
    "10": {"seeds": 10},
    "5, 10, 20": {"looks": [5, 10, 20]},
}


class Drawn:
    """Cells filled with what was drawn for them."""

    def __init__(self, values: Mapping[str, Values]) -> None:
        self._values = values

    def fill(self, cell: Cell) -> Filled:
        samples = dict(enumerate(self._values[cell.row].tolist()))
        return Filled(cell, cell.row, "0" * 10, (), samples, ())


def make_paper(claim: Mapping[str, object], rows: Mapping[str, float], plan: object) -> Paper:
    table = {
        "title": "t", "scale": "desk", "metric": "probe/top1", "cell": "experiment=${row}",
        "rows": {row: row for row in rows}, "columns": {"x": "x"},
        "reported": {"source": "made up", "A": {"x": 210}},
    }  # fmt: skip
    document = {
        "title": "T", "year": 2020, "family": "f", "tables": {"t": {**table, **plan}},  # type: ignore[dict-item]
        "claims": {"c": {"says": "s", "kind": "finding", **claim}},
    }  # fmt: skip
    return parse(document, "paper", "paper.yaml")


def verdicts(kind: str, law: Law, plan: str, draws: int) -> Iterator[Verdict]:
    claim, means = EDGES[kind]
    paper = make_paper(claim, means, PLANS[plan])
    generator = np.random.default_rng(0)
    most = paper.tables["t"].plan[-1]
    for _ in range(draws):
        # The cells differ in spread, which is what Welch's test is for.
        drawn = {
            row: mean + (1 + 0.5 * at) * law(generator, most)
            for at, (row, mean) in enumerate(means.items())
        }
        yield judge(paper, Drawn(drawn))[0]  # type: ignore[arg-type]


def print_false_verdicts(draws: int) -> None:
    print(f"false verdicts in % of {draws} draws: reproduced / not reproduced (skew, far)")
    print(f"{'':26}{'':24}" + "".join(f"{'n = ' + plan:>24}" for plan in PLANS))
    for kind in EDGES:
        for name, law in LAWS.items():
            line = f"{kind:26}{name:24}" if len(name) < 24 else f"{kind:26}{name} "
            for plan in PLANS:
                found = list(verdicts(kind, law, plan, draws))
                counts = Counter(verdict.outcome for verdict in found)
                false = [v.reason for v in found if v.outcome in ("reproduced", "not reproduced")]
                rates = [100 * counts[o] / draws for o in ("reproduced", "not reproduced")]
                told = [sum(w in r for r in false) for w in ("the skew of", "far from the")]
                share = [f"{100 * n / max(1, len(false)):.0f}" for n in told]
                text = f"{rates[0]:.1f} / {rates[1]:.1f}" + f" ({share[0]}, {share[1]})"
                line += f"{text:>24}"
            print(line, flush=True)


def print_coverage(draws: int) -> None:
    print(f"\nof {draws} cells, in %: the 95 % interval holds the mean / a seed is called far")
    sizes = (3, 5, 6, 10, 20)
    print(f"{'':26}" + "".join(f"{f'n = {n}':>14}" for n in sizes))
    generator = np.random.default_rng(0)
    for name, law in LAWS.items():
        line = f"{name:26}"
        for n in sizes:
            cells = [(200 + law(generator, n)).tolist() for _ in range(draws)]
            found = [mean_interval(cell) for cell in cells]
            held = [abs(i.mean - 200) <= i.half_width for i in found if i.half_width is not None]
            far = sum(bool(far_seeds(dict(enumerate(cell)))) for cell in cells)
            line += f"{f'{100 * sum(held) / len(held):.1f} / {100 * far / draws:.1f}':>14}"
        print(line, flush=True)


def print_marks(draws: int) -> None:
    print(f"\nof {draws} columns of equal rows, in %: one is not marked among the best")
    generator = np.random.default_rng(0)
    for n in (3, 5, 10):
        for rows in (2, 5, 10):
            names = [str(row) for row in range(rows)]
            lost = sum(
                len(leaders({name: generator.normal(0, 1, n).tolist() for name in names}, "max"))
                < rows
                for _ in range(draws)
            )
            print(f"n = {n}, {rows} rows: {100 * lost / draws:.1f}")


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print_false_verdicts(draws)
    print_coverage(draws)
    print_marks(draws)


if __name__ == "__main__":
    main()
