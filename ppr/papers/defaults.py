"""The universes that a kind of table has by itself, derived from the composed config of its cells.

    longer        the length of the training times four: epochs, steps, rounds, passes of a task
    higher_rate   the learning rate times three
    lower_rate    the learning rate divided by three
    draw          the field by which the data set draws its split or its data, moved on by one
    width         the network's hidden layers half as wide
    metric        another metric that the same runs have, of the same meaning: no run
    passes        arms of fewer forward passes trained for as many as that of most
    larger        of a study: twice as many of what its problem is made of

Of a study `longer` is of its own `steps`, the rates of its own `lr`, and `width` twice its `dim`.
What a config has no field for it has no universe of. Tables of paper scale have those alone that
their paper's file names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ppr import registry

LONGER = 4
RATE = 3

WIDTHS = ("hidden", "channels", "widths", "widening", "width", "dim")
"""The fields of models that say how wide they are, those of hidden layers first."""

SIZES = (
    "samples", "pairs", "points", "users", "customers", "documents", "candidates", "symbols",
    "classes", "vocabulary", "columns", "answers", "joints", "levels", "size",
)  # fmt: skip
"""The fields of studies that say how large a problem is, the first that it has taken."""

METRICS = {
    "linear/top1": "knn/top1",
    "knn/top1": "linear/top1",
    "linear/nll": "linear/top1",
    "recommendation/ndcg": "recommendation/recall",
    "recommendation/recall": "recommendation/ndcg",
    "retrieval/recall1": "retrieval/map",
    "retrieval/map": "retrieval/recall1",
    "retrieval_pairs/top1": "retrieval_pairs/mrr",
    "retrieval_pairs/mrr": "retrieval_pairs/top1",
    "anomaly/auroc": "anomaly/fpr95",
    "anomaly/fpr95": "anomaly/auroc",
    "multilabel/map": "multilabel/micro_ap",
    "segmentation/miou": "segmentation/accuracy",
    "generated/mmd2": "generated/frechet",
    "numbers/mae": "numbers/exact",
    "numbers/exact": "numbers/mae",
    "calibration/ece": "calibration/adaptive_ece",
    "memorisation/exact": "memorisation/rouge_l",
    "language_model/nll": "language_model/accuracy",
}
"""Metrics that say the same of a model, each with another one of it."""


@dataclass(frozen=True)
class Facts:
    """What universes need to know of a cell's config.

    `words`: default -> the words that make it. `length`: the fields of how long it trains, with
    their values; `passes`: forward passes, up to what a data set's size makes of them; `data`: a
    digest of the data set, for arms that differ in it have passes of their own. `evaluators`: those
    whose metrics have others like them.
    """

    words: Mapping[str, str] = field(default_factory=dict)
    length: Mapping[str, int] = field(default_factory=dict)
    passes: float = 0.0
    data: str = ""
    evaluators: Sequence[str] = ()

    def said(self) -> dict[str, Any]:
        """As JSON, what is empty left away."""
        return {name: value for name, value in vars(self).items() if value}


FACTS = frozenset(f.name for f in fields(Facts))


def facts(values: Mapping[str, Any]) -> Facts:
    """Of a composed config."""
    task = values["task"]
    if not values["optimizer"]:
        return Facts(dict(_of_a_study(task)) | _draw(values["dataset"] or {}))
    length = dict(_length(values))
    words = {"longer": _times(length, LONGER)} if length else {}
    words |= _rates("optimizer.lr", values["optimizer"].get("lr"))
    words |= _draw(values["dataset"] or {})
    if not values["inputs"]:  # which are networks of the same form, and do not follow
        words |= _width(values["model"] or {})
    steps = float(next(iter(length.values()), 0))
    batch = values["engine"]["batch_size"] if values["engine"]["max_steps"] else 1
    passes = steps * batch * task.get("views", 1) * (2 if _two_pass(values["optimizer"]) else 1)
    measuring = {metric.partition("/")[0] for metric in METRICS} & {*(values["evaluator"] or ())}
    data = hashlib.sha256(json.dumps(values["dataset"], sort_keys=True).encode()).hexdigest()[:8]
    return Facts(words, length, passes, data, sorted(measuring))


def equal_passes(arms: Sequence[Facts]) -> list[str | None]:
    """For each arm the words that give it as many forward passes as the one of most has.

    Empty where they have as many, or are of different data.
    """
    most = max((arm.passes for arm in arms), default=0.0)
    comparable = len({arm.data for arm in arms}) == 1 and all(arm.passes for arm in arms)
    if not comparable or all(arm.passes == most for arm in arms):
        return []
    return [_times(a.length, most / a.passes) if a.passes < most else None for a in arms]


def other_metric(metric: str, evaluators: Sequence[str]) -> str | None:
    """Another metric of the same runs that says the same; None where they have none."""
    for origin in ("untrained/", "best/", ""):
        if metric.startswith(origin):
            other = METRICS.get(metric.removeprefix(origin))
            there = other is not None and other.partition("/")[0] in evaluators
            return f"{origin}{other}" if there else None
    return None


def _of_a_study(task: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = {name: v for name, v in task.items() if isinstance(v, int) and not isinstance(v, bool)}
    size = next((name for name in SIZES if whole.get(name)), None)
    if size is not None:
        yield "larger", f"task.{size}={2 * whole[size]}"
    if whole.get("dim"):
        yield "width", f"task.dim={2 * whole['dim']}"
    if whole.get("steps"):
        yield "longer", f"task.steps={LONGER * whole['steps']}"
    yield from _rates("task.lr", task.get("lr")).items()


def _length(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The fields that say how long a config trains: two where the lesser of them counts."""
    engine, task, sampler = values["engine"], values["task"], values["sampler"] or {}
    if sampler.get("passes"):
        yield "sampler.passes", sampler["passes"]
    elif task.get("rounds"):
        yield "task.rounds", task["rounds"]
    else:
        if engine["max_steps"]:
            yield "engine.max_steps", engine["max_steps"]
        yield "engine.epochs", engine["epochs"]


def _times(length: Mapping[str, int], factor: float) -> str:
    return " ".join(f"{key}={max(1, round(value * factor))}" for key, value in length.items())


def _rates(key: str, rate: Any) -> dict[str, str]:
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not rate > 0:
        return {}
    return {"higher_rate": f"{key}={rate * RATE:.4g}", "lower_rate": f"{key}={rate / RATE:.4g}"}


def _draw(data: Mapping[str, Any]) -> dict[str, str]:
    """Another seed for what the data set draws: nothing of a published split that is taken whole.

    A set that draws more than a hold-out or a subset says so in its docstring, by the field's name.
    """
    if "split_seed" not in data:
        return {}
    drawn = any(data.get(key) for key in ("validation", "limit", "imbalance", "hidden"))
    if not drawn and "split_seed" not in registry.describe("dataset", data["name"]).doc:
        return {}
    words = [f"dataset.split_seed={data['split_seed'] + 1}"]
    if data.get("noise"):
        words.append(f"dataset.noise_seed={data['noise_seed'] + 1}")
    return {"draw": " ".join(words)}


def _width(model: Mapping[str, Any]) -> dict[str, str]:
    for name in WIDTHS:
        given = model.get(name)
        many = given if isinstance(given, list) else [given]
        half = [v // 2 for v in many if isinstance(v, int) and v > 1]
        if half and len(half) == len(many):
            text = f"[{','.join(map(str, half))}]" if isinstance(given, list) else str(half[0])
            return {"width": f"model.{name}={text}"}
    return {}


def _two_pass(optimizer: Mapping[str, Any]) -> bool:
    path = registry.find("optimizer", optimizer["name"])
    return re.search(r"^class .*\bTwoPass\b", path.read_text(encoding="utf-8"), re.M) is not None
