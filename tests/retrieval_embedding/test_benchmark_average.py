"""Averages of a benchmark: which score of a task counts, and means of made-up ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from data_toy import refused

from ppr.data.published.mteb_scores import MtebScores
from ppr.errors import RunFailed
from ppr.studies.retrieval_embedding.benchmark_average import BenchmarkAverage, choose

BENCH: Any = SimpleNamespace(dataset=MtebScores().synthetic(4), seed=0)
RUN = "0c1a"


@pytest.mark.parametrize(
    ("rows", "task", "chosen"),
    [
        ([(RUN, "test", "en"), ("external", "test", "default")], "A", 1),
        ([(RUN, "validation", "en"), (RUN, "test", "de"), (RUN, "test", "en")], "A", 2),
        ([(RUN, "test", "default"), (RUN, "dev", "default")], "MSMARCO", 1),
        ([(RUN, "test", "default"), (RUN, "dev", "default")], "A", 0),
        ([("external", "validation", "default")], "A", 0),
        ([(RUN, "test", "de"), (RUN, "train", "en")], "A", None),
        ([], "A", None),
    ],
)
def test_which_score_counts(rows: Any, task: str, chosen: int | None) -> None:
    assert choose(rows, task) == chosen


def test_the_average_is_over_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BenchmarkAverage(BENCH, of="STS").measure()["mean"]["score"] == 0.5
    found = BenchmarkAverage(BENCH).measure()
    assert found["mean"]["score"] == pytest.approx((6 * 0.5 + 0.7) / 7)
    assert found["tasks"] == {"all": 7.0, "authors": 7.0}
    assert BenchmarkAverage(BENCH, pairs="main_score").measure()["mean"]["score"] == 0.5
    tables = BenchmarkAverage(BENCH).made()
    tables["scores"]["main_score"] = np.arange(14) / 14
    tables["scores"]["revision"][8] = RUN
    monkeypatch.setattr(BenchmarkAverage, "made", lambda self: tables)
    found = BenchmarkAverage(BENCH, model="linq_mistral", pairs="main_score").measure()
    assert found["mean"]["score"] == pytest.approx(np.mean(np.arange(7, 14) / 14))
    assert found["tasks"] == {"all": 7.0, "authors": 6.0}


def test_a_task_without_a_score_is_no_average(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = BenchmarkAverage(BENCH).made()
    tables["scores"]["task"] = np.array(["Other", *tables["scores"]["task"][1:]])
    monkeypatch.setattr(BenchmarkAverage, "made", lambda self: tables)
    with refused(RunFailed, "TencentBAC/Conan-embedding-v1", "Classification"):
        BenchmarkAverage(BENCH).measure()
