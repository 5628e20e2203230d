"""A benchmark's averages, from a model's published score on each of its tasks. No model is run.

MTEB (56 English tasks) and C-MTEB (35 Chinese), whose average is the mean over tasks, not over
types of task: Muennighoff et al., arXiv:2210.07316; Xiao et al., arXiv:2309.07597. Of a task is
taken the split on which the benchmark ranks (MS MARCO: dev; Chinese pairs and some others:
validation; else test), English or the whole of it where it has parts by language. A task that a
model's authors published no score of is taken from a run of the benchmark's maintainers.

Pair classification is judged by average precision: the best over similarities (`max_ap`), which
authors published, or the file's main score. STS and summarisation: Spearman's rho of the cosine.

Metrics, fractions of 1: `mean/score` of the tasks that `of` names; `tasks/all` and `tasks/authors`,
how many there are and how many of those the authors published.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppr.engine.bench import Bench
from ppr.errors import RunFailed
from ppr.fields import Literal
from ppr.registry import component
from ppr.studies.published import PublishedStudy, Table

MODELS = {
    "conan_v1": ("TencentBAC/Conan-embedding-v1", "C-MTEB 35"),
    "linq_mistral": ("Linq-AI-Research/Linq-Embed-Mistral", "MTEB English 56"),
}
"""A model's name in the tables, and the benchmark it was published on."""
AUTHORS = "external"
SPLITS = ("test", "dev", "validation")
"""A task's first of these is what the benchmark ranks on, but DEV's."""
DEV = ("MSMARCO",)
SUBSETS = ("default", "en", "en-en", "zh", "zh-CN")


def choose(rows: list[tuple[str, str, str]], task: str) -> int | None:
    """The place among (revision, split, subset) of the one that counts; None if there is none."""

    def rank(at: int) -> tuple[bool, int, int]:
        revision, split, subset = rows[at]
        order = ("dev", "validation", "test") if task in DEV else SPLITS
        return revision != AUTHORS, order.index(split), SUBSETS.index(subset)

    fit = [at for at, (_, split, part) in enumerate(rows) if split in SPLITS and part in SUBSETS]
    return min(fit, key=rank, default=None)


@component("task", needs="tables")
class BenchmarkAverage(PublishedStudy):
    """
    Raises:
        RunFailed: a task has no score at all.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        model: Literal["conan_v1", "linq_mistral"] = "conan_v1",
        of: Literal[
            "all", "Classification", "Clustering", "PairClassification", "Reranking", "Retrieval",
            "STS", "Summarization",
        ] = "all",
        pairs: Literal["max_ap", "main_score"] = "max_ap",
    ) -> None:  # fmt: skip
        super().__init__(bench)
        self.model, self.benchmark = MODELS[model]
        self.of, self.pairs = of, pairs

    def measure(self) -> dict[str, dict[str, float]]:
        lists = self.table("task_lists")
        at = lists["benchmark"] == self.benchmark
        if self.of != "all":
            at &= lists["task_type"] == self.of
        found = [
            self._score(task, kind)
            for task, kind in zip(lists["task"][at], lists["task_type"][at], strict=True)
        ]
        return {
            "mean": {"score": float(np.mean([score for score, _ in found]))},
            "tasks": {
                "all": float(len(found)),
                "authors": float(sum(revision == AUTHORS for _, revision in found)),
            },
        }

    def _score(self, task: str, kind: str) -> tuple[float, str]:
        """A task's score, and the revision it is of."""
        by_metric = kind == "PairClassification" and self.pairs != "main_score"
        table = self.table("metrics" if by_metric else "scores")
        at = (table["model"] == self.model) & (table["task"] == task)
        if by_metric:
            at &= table["metric"] == self.pairs
        columns = (table[name][at] for name in ("revision", "split", "subset"))
        rows = list(zip(*columns, strict=True))
        chosen = choose(rows, task)
        if chosen is None:
            raise RunFailed(f"{self.model} has no score of {task}")
        values = table["value" if by_metric else "main_score"][at]
        return float(values[chosen]), rows[chosen][0]

    def made(self) -> Mapping[str, Table]:
        """A task of each type and benchmark, all of score 0.5, pairs by average precision 0.7."""
        types = ("Classification", "Clustering", "PairClassification", "Reranking", "Retrieval",
                 "STS", "Summarization")  # fmt: skip
        pairs = [(model, benchmark, kind) for model, benchmark in MODELS.values() for kind in types]
        models, benchmarks, kinds = (np.array(column) for column in zip(*pairs, strict=True))
        n = len(pairs)
        one = {"model": models, "task": kinds, "revision": np.full(n, AUTHORS),
               "split": np.full(n, "test"), "subset": np.full(n, "default")}  # fmt: skip
        return {
            "task_lists": {"benchmark": benchmarks, "task_type": kinds, "task": kinds},
            "scores": {**one, "main_score": np.full(n, 0.5)},
            "metrics": {**one, "metric": np.full(n, "max_ap"), "value": np.full(n, 0.7)},
        }
