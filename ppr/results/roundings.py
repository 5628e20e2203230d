"""Records run again with two numbers of threads: `roundings.jsonl`, a line a run.

    {"experiment": "scl_relu_longtail", "variant": "…", "seed": 0, "record": "dbf7936b66702b1468d0",
     "threads": [1, 2], "one": {"class_means/balanced": 0.939}, "other": {…: 0.862},
     "environment": {…}, "finished": …, "digest": …}

With another number of threads sums are taken in another order, and nothing else is changed. `one`
and `other` have the values that are not the same bits, of each number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FILE = "roundings.jsonl"


@dataclass(frozen=True)
class Rounding:
    """One record run again twice. Its fields are the keys of a line."""

    experiment: str
    variant: str
    seed: int
    record: str
    threads: tuple[int, int]
    one: dict[str, float | None]
    other: dict[str, float | None]
    environment: dict[str, Any]
    finished: str
    digest: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return self.experiment, self.variant, self.seed
