"""Time the commands on papers: `ppr papers` and `ppr table` over a tree of 10,000 runs.

    python benchmarks/papers.py [--runs 10000]

Of whole processes, the interpreter's start included: the first call after a change of code, which
composes every cell, and then the median of five. CPU time is what other work on the machine
disturbs least; on an idle one the wall time is about the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ppr.cli.papers import resolve
from ppr.errors import BadRequest
from ppr.papers.cells import cells
from ppr.papers.files import folders, load

REPEATS = 5


def summary(experiment: str, variant: str, seed: int, scale: str) -> str:
    value = 0.9 + 0.001 * seed
    stages = {"linear": {"top1": value}, "knn": {"top1": value}}
    return json.dumps({
        "schema": 1, "experiment": experiment, "variant": variant, "seed": seed, "scale": scale,
        "metrics": stages, "untrained": stages, "best": None, "protocol": {"epochs": 100},
        "cost": {"seconds": 30.0},
    })  # fmt: skip


def fill_tree(root: Path, runs: int) -> str:
    """The cells of a shipped table, and other experiments' runs up to `runs`; the table's name."""
    paper = load("supcon", folders())
    made, ready = 0, ""
    for name, table in paper.tables.items():
        for cell in cells(name, table):
            try:
                experiment, variant = resolve(cell.overrides)
            except BadRequest:  # its experiment has not come yet
                continue
            ready = name
            for seed in range(table.seeds):
                made += write(root, experiment, variant, seed, table.scale)
    for number in range(max(0, runs - made)):
        write(root, f"other_{number // 500}", f"{number // 5:010x}", number % 5, "desk")
    return f"supcon/{ready}"


def write(root: Path, experiment: str, variant: str, seed: int, scale: str) -> int:
    path = root / experiment / variant / f"seed={seed}" / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(summary(experiment, variant, seed, scale))
    return 1


def timed(command: str, *words: str) -> tuple[float, float]:
    """Wall and CPU seconds."""
    code = f"import ppr.cli.{command} as c; c.command({list(words)!r})"
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PPR_CACHE"] = f"{folder}/cache"
        os.environ["PPR_RESULTS"] = f"{folder}/results"
        name = fill_tree(Path(folder) / "results", runs)
        for command, words in (("papers", ()), ("table", (name,))):
            first, *others = [timed(command, *words) for _ in range(1 + REPEATS)]
            wall, cpu = (statistics.median(taken) for taken in zip(*others, strict=True))
            print(
                f"ppr {' '.join((command, *words))}, {runs} runs: {wall:.2f} s (CPU {cpu:.2f} s);"
                f" first {first[0]:.2f} s (CPU {first[1]:.2f} s)"
            )


if __name__ == "__main__":
    main()
