"""Random search: what is drawn follows its law and hangs on a name; the choice on validation."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path

import pytest
from scipy import stats
from sweep_space import RATE, axis, score

from ppr.config.build import build
from ppr.results.files import read_lines
from ppr.results.sweeps import find
from ppr.sweepers.random import draw

pytest_plugins = ("sweeping",)
pytestmark = pytest.mark.usefixtures("toy_is_monitored")


def draws(word: str, number: int = 2000) -> list[float]:
    found = axis(word)
    return [float(draw(found, 0, trial, 0).split("=")[1]) for trial in range(number)]


@pytest.mark.parametrize(
    ("word", "law"),
    [
        ("a=interval(-2,3)", stats.uniform(-2, 5)),
        ("a=tag(log,interval(1e-4,1e-2))", stats.loguniform(1e-4, 1e-2)),
    ],
)
def test_draws_follow_their_law(word, law):
    assert stats.kstest(draws(word), law.cdf).pvalue > 0.01


def test_integers_are_drawn_with_both_ends():
    counted = Counter(draws("a=int(interval(2,6))"))
    assert set(counted) == {2, 3, 4, 5, 6}
    assert stats.chisquare(list(counted.values())).pvalue > 0.01
    assert counted == Counter(draws("a=tag(int,interval(2,6))"))
    logs = Counter(draws("a=tag(log,int(interval(1,8)))"))
    expected = [math.log((n + 1) / n) / math.log(9) * 2000 for n in range(1, 9)]
    assert stats.chisquare([logs[n] for n in range(1, 9)], expected).pvalue > 0.01


def test_listed_values_are_drawn_if_tagged():
    words = {draw(axis("a=tag(draw,choice(x,y))"), 0, trial, 0) for trial in range(20)}
    assert words == {"a=x", "a=y"}


def points(*words: str, **fields) -> list[list[str]]:
    return build("sweeper", "random", **fields).points(words, 0)


LR, DECAY = "lr=tag(log,interval(1e-4,1e-2))", "decay=interval(0,1)"


def test_a_fields_draws_hang_on_its_name_alone():
    """DomainBed's: seeded by a hash of the seed and the name, whatever else is searched."""
    alone = points("experiment=a", LR, trials=5)
    both = points("experiment=a", DECAY, LR, trials=5)
    assert [point[1:] for point in alone] == [
        point[2:] if len(point) == 3 else [] for point in both
    ]
    assert len({word for point in both for word in point if word.startswith("lr=")}) == 4
    other = points("experiment=a", LR.replace("lr", "rate"), trials=5)
    assert [p[1].split("=")[1] for p in other[1:]] != [p[1].split("=")[1] for p in alone[1:]]


def test_methods_share_draws_and_seeds_do_not():
    found = points("experiment=a,b", "seed=0,1", LR, trials=4)
    assert len(found) == 2 * 2 * 4
    by = {tuple(p[:2]): [q[2:] for q in found if q[:2] == p[:2]] for p in found}
    assert by["experiment=a", "seed=0"] == by["experiment=b", "seed=0"]
    assert by["experiment=a", "seed=0"][0] == []  # the experiment's own values
    assert not {w for [w] in by["experiment=a", "seed=0"][1:]} & {
        w for [w] in by["experiment=a", "seed=1"][1:]
    }
    assert points("experiment=a", LR, trials=3) == points("experiment=a", LR, trials=5)[:3]
    assert points(LR, trials=3, seed=1)[1:] != points(LR, trials=3)[1:]
    assert all(len(point) == 1 for point in points(LR, trials=2, default_first=False))


def test_a_random_search_chooses_on_validation_for_each_method(ppr):
    words = ["sweeper=random", "sweeper.trials=3", "engine.batch_size=16,32", RATE]
    done = ppr("run -m", *words)
    assert done.code == 0, done.err
    assert done.out.startswith("6 runs: 6 to do")
    assert "6 of 6 trials over; chosen on validation" in done.out
    said = json.loads(ppr("sweep status --json").out)
    for size, row in zip((16, 32), said["chosen"], strict=True):
        assert row["method"] == f"engine.batch_size={size}"
        assert (row["trials"], row["finished"]) == (3, 3)
        folders = [Path(p["folder"]) for p in said["points"] if f"={size}" in p["words"]]
        best = {}
        for folder in folders:
            logged = read_lines(folder / "metrics.jsonl")
            best[folder] = max(line.get("validation/toy/score", 0) for line in logged)
        assert len(best) == 3
        assert row["value"] == max(best.values())
        assert best[Path(row["folder"])] == row["value"]
        assert row["value"] == score(1.0)  # the first trial is the toy's own rate, the optimum
        assert row["words"] == []
    record = find(Path(os.environ["PPR_RESULTS"]), None)
    assert record.search["chosen"] == said["chosen"]
    assert "its own values" in ppr("sweep status").out
    again = ppr("run -m", *words)
    assert again.out.startswith("6 runs: 6 done")
    assert "6 of 6 trials over" in again.out
    minimised = ppr(
        "run -m", *words, "sweeper.direction=minimise", "sweeper.objective=validation/toy/loss"
    )
    assert minimised.out.startswith("6 runs: 6 done")  # the same runs, otherwise looked at
    assert json.loads(ppr("sweep status --json").out)["chosen"][0]["value"] == 0
