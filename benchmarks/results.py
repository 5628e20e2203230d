"""Seconds to list a large results tree: `python benchmarks/results.py [runs]`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ppr.config.places import run_path
from ppr.results.tree import CONFIG, SCHEMA, SUMMARY, scan

SEEDS, VARIANTS = 5, 20


def make_tree(root: Path, runs: int) -> None:
    """A tree of finished runs, five seeds a variant and twenty variants an experiment."""
    for index in range(runs):
        variant, seed = divmod(index, SEEDS)
        experiment = f"experiment_{variant // VARIANTS}"
        path = run_path(root, experiment, f"{variant:010x}", seed)
        path.mkdir(parents=True)
        top1 = index % 97 / 97
        summary = {
            "schema": SCHEMA,
            "experiment": experiment,
            "variant": f"{variant:010x}",
            "seed": seed,
            "run_id": f"{index:010x}",
            "scale": "desk",
            "metrics": {"linear": {"top1": top1, "top5": 0.9}, "knn": {"top1": top1}},
            "untrained": {"linear": {"top1": 0.1, "top5": 0.5}, "knn": {"top1": 0.1}},
            "best": {
                "epoch": 17,
                "chosen_by": "validation/knn/top1",
                "value": 0.5,
                "metrics": {"linear": {"top1": top1}},
            },
            "cost": {"seconds": 12.5, "peak_memory_bytes": None, "device": "cpu"},
            "code": {"version": "0.1.0", "commit": "0" * 40, "dirty": False},
            "digest": "0" * 64,
        }
        (path / SUMMARY).write_text(json.dumps(summary, indent=2))
        (path / CONFIG).write_text(f"loss: {{name: supcon, temperature: {variant % 3 / 10}}}\n")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder), runs)
        start = time.perf_counter()
        found = scan(folder)
        print(f"scan of {len(found.records)} runs: {time.perf_counter() - start:.2f} s")
        for words in ([], ["--group"], ["loss.temperature=0.1"]):
            call = [
                sys.executable,
                "-c",
                "from ppr.cli.main import main; main()",
                "results",
                "--results",
                folder,
                *words,
            ]
            start = time.perf_counter()
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            print(f"ppr results {' '.join(words)}: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
