"""Time `ppr report` for the shipped papers, 80 more with tables, and their 2,000 runs.

    python benchmarks/report.py [--papers 80]

Of whole processes, the interpreter's start included: the first, which composes every cell, and one
after it, which finds the variants kept. Each of the 80 has a table of 5 cells with 5 seeds each and
a log of 100 lines a run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from ppr.config.compose import compose
from ppr.papers.files import folders

ROWS, SEEDS, LINES = 5, 5, 100


def temperature(paper: int, row: int) -> float:
    return round(0.01 + 0.0001 * (paper * ROWS + row), 4)


def write_paper(folder: Path, number: int) -> None:
    rows = {f"row {row}": str(temperature(number, row)) for row in range(ROWS)}
    table = {
        "title": "A table", "scale": "desk", "metric": "linear/top1", "unit": "%", "rows": rows,
        "columns": {"digits": "digits"}, "seeds": SEEDS,
        "cell": "experiment=supcon_digits loss.temperature=${row}",
    }  # fmt: skip
    claim = {"says": "first above last", "test": "greater", "cells": ["t.row 0", "t.row 4"]}
    paper = {"title": f"Paper {number}", "year": 2020, "family": "contrastive", "method": "m"}
    paper |= {"tables": {"t": table}, "claims": {"c": claim}}
    text = yaml.safe_dump(paper, sort_keys=False)
    (folder / f"bench_{number}.yaml").write_text(text, encoding="utf-8")


def write_runs(root: Path, number: int) -> int:
    for row in range(ROWS):
        words = ["experiment=supcon_digits", f"loss.temperature={temperature(number, row)}"]
        config = compose(words)
        for seed in range(SEEDS):
            folder = root / config.experiment / config.variant / f"seed={seed}"
            folder.mkdir(parents=True)
            value = 0.9 + 0.01 * row + 0.001 * seed
            stages = {"linear": {"top1": value}}
            summary = {
                "schema": 1, "experiment": config.experiment, "variant": config.variant,
                "seed": seed, "scale": "desk", "metrics": stages, "protocol": {"epochs": 30},
                "cost": {"seconds": 30.0}, "digest": "0" * 64,
            }  # fmt: skip
            (folder / "summary.json").write_text(json.dumps(summary))
            (folder / "config.yaml").write_text(yaml.safe_dump({**config.values, "seed": seed}))
            log = [
                {"step": step, "epoch": float(step), "train/loss": value / step}
                for step in range(1, LINES + 1)
            ]
            (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, log)) + "\n")
    return ROWS * SEEDS


def timed(papers: Path, out: Path) -> tuple[float, float]:
    """Wall and CPU seconds."""
    where = [*folders(), papers]
    code = (
        "import pathlib, ppr.cli.report as report;"
        f"report.folders = lambda: [pathlib.Path(name) for name in {[*map(str, where)]}];"
        f"report.command(['-o', {str(out)!r}])"
    )
    words = [sys.executable, "-c", code]
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begin, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=int, default=80)
    papers = parser.parse_args().papers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PPR_CACHE"] = f"{name}/cache"
        os.environ["PPR_RESULTS"] = f"{name}/results"
        where = folder / "papers"
        where.mkdir()
        made = 0
        for number in range(papers):
            write_paper(where, number)
            made += write_runs(folder / "results", number)
        for which in ("first", "second"):
            wall, cpu = timed(where, folder / "site")
            pages = len(list((folder / "site").rglob("*.html")))
            size = sum(file.stat().st_size for file in (folder / "site").rglob("*.html"))
            print(
                f"ppr report, {pages} pages ({size / 1e6:.1f} MB), {made} runs, {which} time:"
                f" {wall:.1f} s (CPU {cpu:.1f} s)"
            )


if __name__ == "__main__":
    main()
