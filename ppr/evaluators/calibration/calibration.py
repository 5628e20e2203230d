"""Calibration of the trained classifier: ECE and its kin, likelihood, temperature scaling.

Guo et al., On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599:

    ECE = sum_m |B_m|/n * |acc(B_m) - conf(B_m)|
    NLL = -1/n * sum_i log p(y_i | x_i)

with B_m the samples whose top probability falls in the m-th of `bins` equal parts of [0, 1].
The bins are [lo, hi), the last [lo, 1], as torchmetrics has them; the authors' code
(gpleiss/temperature_scaling) has (lo, hi]. Beside it

    adaptive ECE     the same with bins of equally many samples, in the order of their confidence
    classwise ECE    1/C * sum_k sum_m |B_mk|/n * |share of class k in B_mk - mean p_k in B_mk|,
                     B_mk by the probability of class k
    gap              mean confidence - accuracy: positive where the classifier is over-confident

as AdaptiveECELoss and ClasswiseECELoss in Metrics/metrics.py of torrvision/focal_calibration define
them (that has (lo, hi] again). With `temperature`, softmax(z / T) is measured too, for the T that
minimises the NLL on the validation split. With `reliability`, the diagram: accuracy less mean
confidence in bin m = 1, 2, ..., as `reliability_m`, where it holds a sample.

Metrics: `ece`, `adaptive_ece`, `classwise_ece`, `confidence`, `gap`, fractions of 1; `nll`, in
nats; with `temperature`, `temperature`, `scaled_ece`, `scaled_nll`.

Raises BadRequest if the task trains no classifier, or to fit a temperature without a validation
split; RunFailed on NaN or infinite logits.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject
from ppr.fields import Count
from ppr.registry import component

WHERE = "evaluator.calibration"
HOTTEST = 100.0
"""Temperatures are sought between this and its inverse."""


@component("evaluator")
class Calibration:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(
        self, *, bins: Count = 15, temperature: bool = False, reliability: bool = False
    ) -> None:
        self.bins = bins
        self.temperature = temperature
        self.reliability = reliability

    def protocol(self) -> dict[str, object]:
        told: dict[str, object] = {
            "measures": "the task's own classifier",
            "epoch": "last",
            "bins": self.bins,
            "nll": "nats",
        }
        return {**told, "temperature": "NLL on validation"} if self.temperature else told

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        logits, target = subject.logits(subject.target_split, WHERE)
        probabilities = logits.softmax(1)
        confidence, predicted = probabilities.max(1)
        right = (predicted == target).float()
        excess = confidence - right
        of_class = (probabilities - F.one_hot(target, logits.shape[1])).T
        metrics = {
            "ece": expected_error(confidence, right, self.bins),
            "nll": F.cross_entropy(logits, target).item(),
            "adaptive_ece": adaptive_error(confidence, excess, self.bins),
            "classwise_ece": binned(probabilities.T, of_class, self.bins)
            .abs()
            .sum(1)
            .mean()
            .item(),
            "confidence": confidence.mean().item(),
            "gap": excess.mean().item(),
        }
        if self.temperature:
            scale = fitted_temperature(*subject.logits("validation", WHERE))
            metrics["temperature"] = scale
            scaled, likeliest = (logits / scale).softmax(1).max(1)
            right = (likeliest == target).float()
            metrics["scaled_ece"] = expected_error(scaled, right, self.bins)
            metrics["scaled_nll"] = F.cross_entropy(logits / scale, target).item()
        if self.reliability:
            gaps = -binned(confidence[None], excess[None], self.bins)[0]
            filled = binned(confidence[None], torch.ones_like(excess)[None], self.bins)[0]
            for number, (gap, share) in enumerate(zip(gaps, filled, strict=True), 1):
                if share > 0:
                    metrics[f"reliability_{number}"] = (gap / share).item()
        return metrics


def expected_error(confidence: Tensor, right: Tensor, bins: int) -> float:
    """ECE of confidences [n] in [0, 1], and of whether each was right [n], 0 or 1."""
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=confidence.device)
    places = (torch.bucketize(confidence, edges, right=True) - 1).clamp(max=bins - 1)
    # Means before their difference, and a bin of none at the end: the numbers that were recorded
    # with torchmetrics, to the last bit.
    held, sure, correct = (
        confidence.new_zeros(bins + 1).scatter_add_(0, places, each)
        for each in (torch.ones_like(confidence), confidence, right)
    )
    gaps = (correct / held - sure / held).nan_to_num().abs()
    return (gaps * (held / held.sum())).sum().item()


def binned(at: Tensor, values: Tensor, bins: int) -> Tensor:
    """Sums of `values` [K, n] in equal bins of `at` [K, n] in [0, 1], over n: [K, bins]."""
    places = (at * bins).long().clamp(max=bins - 1)
    sums = values.new_zeros(len(at), bins, dtype=torch.float64)
    return sums.scatter_add_(1, places, values.double()) / at.shape[1]


def adaptive_error(confidence: Tensor, excess: Tensor, bins: int) -> float:
    """ECE with bins of equally many samples: the mean excess of each, by its share of them."""
    parts = excess[confidence.argsort(stable=True)].double().tensor_split(bins)
    return sum(part.sum().abs().item() for part in parts) / len(excess)


def fitted_temperature(logits: Tensor, target: Tensor) -> float:
    """The temperature that minimises the NLL of softmax(logits / T)."""
    logits = logits.double()

    def nll(log_temperature: float) -> float:
        return F.cross_entropy(logits / math.exp(log_temperature), target).item()

    widest = math.log(HOTTEST)
    return math.exp(minimize_scalar(nll, bounds=(-widest, widest), method="bounded").x)
