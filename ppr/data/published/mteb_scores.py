"""Scores of three text-embedding models on each task of MTEB, and the tasks of its two averages.

From the benchmark's own collection of results: `scores` has the main score of every task, split and
subset a row (fractions of 1), `metrics` every metric of the tasks that are averaged, `task_lists`
those tasks by `benchmark` (56 English, 35 Chinese) and `task_type`. `revision` "external" is what a
model's authors said of it, another one was run by the benchmark's maintainers.

The tables are flattened from the repository's JSON files, a file a task and revision.
"""

from __future__ import annotations

from ppr.data.published.tables import PublishedTables, published
from ppr.registry import component


@component("dataset", inputs="rows", has="tables")
class MtebScores(PublishedTables):
    card = published(
        "mteb_scores",
        source="https://github.com/embeddings-benchmark/results/tree/f4cc6c8",
        licence="CC0-1.0",
        tables={
            "scores": (7132, "20809c6117592055c105710199b1bbad9cf4586f4c55d161b0b903c1e6b0968a"),
            "metrics": (6478, "164304115e6a83380ff14d7bb5b7e23110c63d68a1626d33d83051041a3be5e2"),
            "task_lists": (91, "34c2289e5a63b4c9796989e5acf3757f9056e36898ec521ca782f229e3641c75"),
        },
    )
