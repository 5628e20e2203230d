"""Published runs read back are the runs that were written, whatever they repeat."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ppr.results.published import Reader, encode

NUMBERS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.floats(0, 1), max_size=3)
METRICS = st.dictionaries(st.sampled_from(["linear", "knn"]), NUMBERS, max_size=2)


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    metrics = draw(METRICS)
    best = draw(st.none() | st.fixed_dictionaries({"epoch": st.integers(0, 2), "metrics": METRICS}))
    if best is not None and draw(st.booleans()):
        best["metrics"] = metrics
    seed, code = draw(st.integers(0, 3)), draw(st.sampled_from("xy"))
    summary = {"experiment": draw(st.sampled_from("ef")), "variant": draw(st.sampled_from("vw"))}
    summary |= {"seed": seed, "metrics": metrics, "best": best, "code": code}
    config = {"seed": draw(st.just(seed) | st.integers(0, 3)), "lr": draw(st.floats(0, 1))}
    config["data"] = draw(METRICS | st.lists(st.integers(0, 2), max_size=2))
    return {"summary": summary, "config": config, "environment": {"code": code}}


def test_a_best_epoch_that_is_the_last_is_said_once() -> None:
    made = []
    for seed in range(2):
        metrics = {"linear": {"top1": 0.5 + seed}}
        summary = {"experiment": "e", "variant": "v", "seed": seed, "metrics": metrics}
        made.append(
            {"summary": summary | {"best": {"epoch": 4, "metrics": metrics}, "digest": seed}}
        )
        made[-1]["summary"]["digest"] = f"digest {seed}"
    first, second = encode(made).splitlines()
    assert json.loads(first) == made[0]
    assert json.loads(second)["summary"] == {
        "seed": 1,
        "metrics": [1.5],
        "digest": "digest 1",
    }


@given(st.lists(runs(), max_size=8))
def test_they_come_back(made: list[dict[str, Any]]) -> None:
    for number, run in enumerate(made):
        run["summary"]["digest"] = f"{number:08d}"
    reader = Reader()
    read = [reader.whole(json.loads(line)) for line in encode(made).splitlines()]
    assert json.dumps(read, sort_keys=True) == json.dumps(made, sort_keys=True)
