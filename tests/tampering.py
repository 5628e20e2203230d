"""The toy paper's runs altered by hand, as a forger or an edit of the code would leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppr.results.tree import Record, record_digest, scan

HERE = {"processor": "P", "instructions": "AVX2", "device": "cpu, 1 threads", "packages": {}}
"""Where a made-up record was run."""


def run_folder(root: Path, seed: int = 1) -> Path:
    return next(root.glob(f"toy_fast/*/seed={seed}"))


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def set_top1(summary: dict[str, Any], value: float = 0.99) -> None:
    summary["metrics"]["classifier"]["top1"] = value


def forge(root: Path, seed: int, value: float) -> None:
    """Edit a result and sign it anew, as only somebody who reads the code can."""
    record = next(r for r in scan(root).records if (r.experiment, r.seed) == ("toy_fast", seed))

    def change(summary: dict[str, Any]) -> None:
        set_top1(summary, value)
        summary["digest"] = record_digest(summary, record.config(), record.environment())

    edit(run_folder(root, seed) / "summary.json", change)


def other_code(root: Path, *components: str) -> None:
    """As if the components of every run of toy_fast had been edited since."""
    for file in root.glob("toy_fast/*/*/summary.json"):
        record = next(r for r in scan(root).records if r.path == file.parent)

        def change(summary: dict[str, Any], record: Record = record) -> None:
            for each in components:
                assert each in summary["code"]["components"]
                summary["code"]["components"][each] = "0" * 12
            found = record.config(), record.environment()
            summary["digest"] = record_digest(summary, *found)

        edit(file, change)
