"""What a classifier's decisions are put down to: is the account complete, and does it find pixels.

F is the probability of the class that the network predicts, x' the black image. Methods:

    integrated_gradients  Sundararajan et al., arXiv:1703.01365 (_path.py), with `rule`
    gradient              |dF/dx|
    gradient_input        (x - x') dF/dx
    random                noise

Metrics, over the first `images` of the split, in float64: `error_10`, `error_50`, `error_300`, the
mean of |sum_i a_i - (F(x) - F(x'))| / |F(x) - F(x')| with so many steps along the path (alike for
methods without one); `deletion`, F after the pixels of the highest attribution are set to x', the
mean over 1/16, 1/8, 3/16, 1/4, 3/8 and 1/2 of all pixels: low is good.

Raises BadRequest if the task trains no classifier or the split is streamed.
"""

from __future__ import annotations

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ppr.data.dataset import Split
from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest
from ppr.evaluators.interpretability._path import gradient, integrated_gradients
from ppr.fields import Count
from ppr.registry import component

WHERE = "evaluator.attribution"
STEPS = (10, 50, 300)
SHARES = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2)


@component("evaluator")
class Attribution:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(
        self,
        *,
        method: Literal[
            "integrated_gradients", "gradient", "gradient_input", "random"
        ] = "integrated_gradients",
        rule: Literal["midpoint", "trapezoid", "right"] = "midpoint",
        images: Count = 100,
    ) -> None:
        self.method, self.rule, self.images = method, rule, images

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the probability of the predicted class, against a black image",
            "method": self.method,
            "rule": self.rule,
            "images": self.images,
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        network = copy.deepcopy(subject.classifying(WHERE)).double()
        split = subject.split(subject.target_split)
        if not isinstance(split, Split):
            raise BadRequest(f"{WHERE}: needs a split that is held in memory")
        images = split.inputs[: self.images].to(subject.device)
        transform = subject.transform or (lambda inputs: inputs)
        x, baseline = transform(images).double(), transform(torch.zeros_like(images[:1])).double()
        random = subject.generator("attribution")
        with evaluating(network), torch.no_grad():
            predicted = network(x).argmax(1)
            gain = _probability(network, x, predicted)
            gain = gain - _probability(network, baseline.expand_as(x), predicted)
            found = {}
            for steps in STEPS:
                attributions = self._attribute(network, x, baseline, predicted, steps, random)
                error = (attributions.flatten(1).sum(1) - gain).abs() / gain.abs()
                found[f"error_{steps}"] = error.mean().item()
            found["deletion"] = _deleted(network, x, baseline, predicted, attributions)
        return found

    def _attribute(
        self,
        network: nn.Module,
        x: Tensor,
        baseline: Tensor,
        predicted: Tensor,
        steps: int,
        random: torch.Generator,
    ) -> Tensor:
        if self.method == "random":
            return torch.rand(x.shape, generator=random, device=x.device, dtype=x.dtype)
        if self.method == "integrated_gradients":
            return integrated_gradients(
                lambda at, of: _probability(network, at, predicted[of]),
                x,
                baseline,
                steps,
                self.rule,
            )
        slopes = gradient(lambda at: _probability(network, at, predicted), x)
        return slopes.abs() if self.method == "gradient" else (x - baseline) * slopes


def _probability(network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    probabilities: Tensor = network(x).softmax(1)
    return probabilities.gather(1, classes[:, None])[:, 0]


def _deleted(
    network: nn.Module, x: Tensor, baseline: Tensor, predicted: Tensor, attributions: Tensor
) -> float:
    """A pixel is deleted in all its channels, and is as important as they are together."""
    importance = attributions.sum(1).flatten(1)
    order = importance.argsort(dim=1, descending=True, stable=True)
    left = []
    for share in SHARES:
        chosen = order[:, : round(share * order.shape[1])]
        keep = torch.ones_like(importance).scatter(1, chosen, 0.0)
        keep = keep.view(len(x), 1, *x.shape[2:])
        left.append(_probability(network, baseline + keep * (x - baseline), predicted).mean())
    return torch.stack(left).mean().item()
