"""Accuracy of a large language model predicted from a ladder of small ones, in two steps.

Bhagia et al., "Establishing Task Scaling Laws via Compute-Efficient Model Ladders",
arXiv:2412.04403, with their own evaluations (dataset=olmo_ladder). Step 1: a task's loss, in bits
a byte of the right answer, is L(N, D) = A / N^alpha + B / D^beta + E of the model's parameters and
tokens, fitted to the last evaluations of the ladder's runs. Step 2: accuracy is
a / (1 + exp(-k (L - L0))) + b of the loss, fitted to all evaluations but the first tenth of a run,
and to an accuracy of 1 at a loss of 0. Their chain predicts the target's accuracy. Beside it: step
1 by compute alone, L(C) = A / C^alpha + E (`by` flops); and accuracy in one step,
p / (1 + exp(-L(N, D))) + q (`by` one_step).

Fits, starts, bounds and smoothing (means of five evaluations) are those of src/scripts and
src/scaling of allenai/OLMo-ladder at 67a3f44: Huber loss (1e-3) of log residuals by L-BFGS-B,
least squares in step 2.

`of` is one task, or a group, over which metrics are means: `good`, the four that the paper predicts
to two points, `other`, the other four, `all`. The ladder may end earlier, at runs of `largest`
parameters or `longest` times as many tokens as Chinchilla's law says.

Metrics: `actual/loss`, `actual/accuracy`; `predicted/loss` by step 1, `predicted/step2` from the
actual loss, `predicted/accuracy`; `error/…`, how far these are off, the sign left away;
of `bootstraps` ladders of runs drawn with replacement, `bootstrap/low`
and `bootstrap/high`, the 2.5 and 97.5 % quantiles of the predicted accuracy, and
`bootstrap/covers`; `cost/ladder` and `cost/target` in FLOPs, and `cost/share`, the ladder's over
all targets'. Of both targets, metrics are means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Literal, Whole
from ppr.registry import component
from ppr.scaling.fit import Array
from ppr.scaling.ladder_laws import (
    chinchilla,
    compute,
    fit_huber,
    fit_sigmoid,
    one_step,
    sigmoid,
)
from ppr.studies.published import PublishedStudy, Table

SIZES = {
    "190M": (190_354_176, 1_903_391_232),
    "370M": (371_262_464, 3_443_922_944),
    "760M": (758_220_288, 6_373_843_968),
    "1B": (1_279_395_840, 10_109_071_360),
}
"""Parameters and FLOPs a token of the ladder's models (configs/final.json of the repository)."""
TARGETS = {
    "7B-4T": ("peteish7_eval_anneal", 6_887_575_552, 49_412_071_424),
    "13B-5T": ("peteish13_eval_final", 13_202_396_160, 91_335_915_520),
}
LENGTHS = (1, 2, 5, 10)
MMLU = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}
TASKS = {
    "mmlu": {f"mmlu_{part}_test": share for part, share in MMLU.items()},
    "hellaswag": {"hellaswag_val": 1.0},
    "piqa": {"piqa_val": 1.0},
    "social_iqa": {"socialiqa_val": 1.0},
    "arc_challenge": {"arc_challenge_test": 1.0},
    "arc_easy": {"arc_easy_test": 1.0},
    "commonsense_qa": {"csqa_val": 1.0},
    "openbook_qa": {"openbookqa_test": 1.0},
}
"""Each task's parts, with their weights."""
GROUPS = {"good": list(TASKS)[:4], "other": list(TASKS)[4:], "all": list(TASKS)}
LEAST = {"piqa": 0.5, "social_iqa": 1 / 3, "commonsense_qa": 0.2}
"""Accuracy by chance, where it is not a quarter."""
LOSS = "eval/downstream_bpb/{}_rc_5shot_bpb"
ACCURACY = "eval/downstream/{}_rc_5shot_len_norm"
WINDOW = 5
SKIPPED = 0.1


@dataclass(frozen=True)
class Run:
    """Evaluations of a run, in their order: losses [T], accuracies [T]; tokens at the last."""

    parameters: int
    flops: int
    tokens: float
    losses: Array
    accuracies: Array

    @property
    def loss(self) -> float:
        return float(self.losses[-WINDOW:].mean())

    @property
    def accuracy(self) -> float:
        return float(self.accuracies[-WINDOW:].mean())

    @property
    def size(self) -> Array:
        """Parameters and tokens. [2]"""
        return np.array([self.parameters, self.tokens], dtype=np.float64)

    @property
    def compute(self) -> float:
        return self.flops * self.tokens


def smoothed(values: Array) -> Array:
    """Means of the last WINDOW values, of fewer at the beginning. [T] -> [T]"""
    sums = np.concatenate([[0.0], values.cumsum()])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - WINDOW, 0)
    return np.asarray((sums[ends] - sums[begins]) / (ends - begins))


def read_run(table: Table, name: str, of: str, parameters: int, flops: int) -> Run:
    rows = table["run"] == name
    parts = TASKS[of]

    def mean(column: str) -> Array:
        values = [table[column.format(part)][rows].astype(np.float64) for part in parts]
        return np.average(values, axis=0, weights=list(parts.values()))

    total = table["throughput/total_tokens"][rows]
    counted = table["_step"][rows] * table["batch_size_in_tokens"][rows]
    tokens = np.where(np.isnan(total), counted, total)
    return Run(parameters, flops, float(int(tokens[-1])), mean(LOSS), mean(ACCURACY))


Predict = Callable[[Run], tuple[float, float]]
"""The loss and the accuracy of a run, predicted."""


def fit_loss(runs: Sequence[Run]) -> Array:
    sizes = np.stack([run.size for run in runs])
    losses = np.array([run.loss for run in runs])
    return fit_huber(chinchilla, sizes, losses, (3.0, 6.0, 0.1, 0.2, 1.0), [(0, None)] * 5)


def fit_accuracy(runs: Sequence[Run], least: float) -> Array:
    losses, accuracies = [np.zeros(1)], [np.ones(1)]
    for run in runs:
        first = int(np.ceil(SKIPPED * len(run.losses)))
        losses.append(smoothed(run.losses[first:]))
        accuracies.append(smoothed(run.accuracies[first:]))
    return fit_sigmoid(np.concatenate(losses), np.concatenate(accuracies), least)


def by_flops(runs: Sequence[Run]) -> Array:
    flops = np.array([run.compute for run in runs])
    losses = np.array([run.loss for run in runs])
    return fit_huber(compute, flops, losses, (3.0, 0.1, 1.0), [(0, None), (0, 1.0), (0, None)])


def by_one_step(runs: Sequence[Run], least: float) -> Array:
    sizes = np.stack([run.size for run in runs])
    accuracies = np.array([run.accuracy for run in runs])
    bounds = [(0, None)] * 4 + [(None, None), (-1.0, 0), (0, 1)]
    start = (3.0, 5.0, 0.2, 0.3, 0.0, least - 1.0, 1.0)
    return fit_huber(one_step, sizes, accuracies, start, bounds)


@component("task", needs="tables")
class ModelLadder(PublishedStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        of: Literal[
            "mmlu", "hellaswag", "piqa", "social_iqa", "arc_challenge", "arc_easy",
            "commonsense_qa", "openbook_qa", "good", "other", "all",
        ] = "all",
        by: Literal["two_steps", "flops", "one_step"] = "two_steps",
        target: Literal["7B-4T", "13B-5T", "both"] = "13B-5T",
        largest: Literal["370M", "760M", "1B"] = "1B",
        longest: Literal[2, 5, 10] = 10,
        bootstraps: Whole = 0,
    ) -> None:  # fmt: skip
        super().__init__(bench)
        self.by, self.bootstraps = by, bootstraps
        self.tasks = GROUPS.get(of, [of])
        self.targets = list(TARGETS) if target == "both" else [target]
        sizes = list(SIZES)
        self.ladder = [
            (size, length)
            for size in sizes[: sizes.index(largest) + 1]
            for length in LENGTHS[: LENGTHS.index(longest) + 1]
        ]

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "runs"))
        table = self.table("runs")
        with np.errstate(over="ignore", invalid="ignore"):  # on the way of a search along a line
            found = [
                self._predicted(table, of, target, random)
                for target in self.targets
                for of in self.tasks
            ]
        metrics = {
            part: {name: float(np.mean([one[part][name] for one in found])) for name in values}
            for part, values in found[0].items()
        }
        cost = metrics["cost"]
        cost["share"] = cost["ladder"] / (cost["target"] * len(self.targets))
        return metrics

    def _predicted(
        self, table: Table, of: str, to: str, random: np.random.Generator
    ) -> dict[str, dict[str, float]]:
        runs = [
            read_run(table, f"{size}-{length}xC", of, *SIZES[size]) for size, length in self.ladder
        ]
        name, parameters, flops = TARGETS[to]
        target = read_run(table, name, of, parameters, flops)
        least = LEAST.get(of, 0.25)
        loss, accuracy = self._fitted(runs, least)(target)
        step2 = float(sigmoid(target.loss, *fit_accuracy(runs, least)))
        predicted = {"accuracy": accuracy, "step2": step2}
        if self.by != "one_step":
            predicted["loss"] = loss
        actual = {"loss": target.loss, "accuracy": target.accuracy}
        drawn = [
            self._fitted([runs[at] for at in random.integers(len(runs), size=len(runs))], least)
            for _ in range(self.bootstraps)
        ]
        spent = sum(run.compute for run in runs)
        return {
            "actual": actual,
            "predicted": predicted,
            "error": {
                name: abs(value - (target.loss if name == "loss" else target.accuracy))
                for name, value in predicted.items()
            },
            **self._interval([predict(target)[1] for predict in drawn], target),
            "cost": {"ladder": spent, "target": target.compute},
        }

    def _fitted(self, runs: Sequence[Run], least: float) -> Predict:
        if self.by == "one_step":
            found = by_one_step(runs, least)
            return lambda run: (np.nan, float(one_step(found, run.size[None])[0][0]))
        step2 = fit_accuracy(runs, least)
        step1 = by_flops(runs) if self.by == "flops" else fit_loss(runs)

        def predict(run: Run) -> tuple[float, float]:
            if self.by == "flops":
                loss = float(compute(step1, np.array([run.compute]))[0][0])
            else:
                loss = float(chinchilla(step1, run.size[None])[0][0])
            return loss, float(sigmoid(loss, *step2))

        return predict

    @staticmethod
    def _interval(values: Sequence[float], target: Run) -> dict[str, dict[str, float]]:
        if not values:
            return {}
        low, high = np.quantile(values, [0.025, 0.975])
        covers = float(low <= target.accuracy <= high)
        return {"bootstrap": {"low": float(low), "high": float(high), "covers": covers}}

    def made(self) -> Mapping[str, Table]:
        """Exact runs of one law for all tasks, with eight evaluations each."""
        rows: dict[str, list[float | str]] = {}
        names = {f"{size}-{length}xC": (*SIZES[size], 20.0 * length) for size in SIZES
                 for length in LENGTHS}  # fmt: skip
        names |= {name: (n, flops, 400.0) for name, n, flops in TARGETS.values()}
        for name, (parameters, _, per_parameter) in names.items():
            for at in range(1, 9):
                # The last five evaluations are alike, so that their mean is on the law.
                tokens = per_parameter * parameters * min(at / 4, 1)
                loss = chinchilla(MADE[0], np.array([[parameters, tokens]]))[0]
                row: dict[str, float | str] = {"run": name, "throughput/total_tokens": tokens}
                row |= {"_step": np.nan, "batch_size_in_tokens": np.nan}
                for part in {part for parts in TASKS.values() for part in parts}:
                    row[LOSS.format(part)] = float(loss[0])
                    row[ACCURACY.format(part)] = float(sigmoid(loss, *MADE[1])[0])
                for column, value in row.items():
                    rows.setdefault(column, []).append(value)
        return {"runs": {column: np.array(values) for column, values in rows.items()}}


MADE = (np.array([6.0, 7.0, 0.4, 0.35, 0.5]), np.array([-0.75, 0.9, 5.0, 1.0]))
"""log A, log B, alpha, beta, E and a, L0, k, b of the made-up runs."""
