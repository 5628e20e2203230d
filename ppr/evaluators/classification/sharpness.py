"""Sharpness of the minimum: the largest eigenvalue of the training loss's Hessian.

Power iteration on Hessian-vector products, as Foret et al., "Sharpness-Aware Minimization",
arXiv:2010.01412, compare the spectra of minima (section 4.2 there, by Lanczos). From a random unit
vector v,

    v <- H v / ||H v||,    lambda = v^T H v        until lambda changes by less than `tolerance`

H of the mean cross-entropy over the training split (as it was trained on: with its wrong labels, if
any), of all trained parameters, without weight decay, augmentation or dropout, batch norm in eval
mode, in the weights' own precision. It finds the eigenvalue of the largest magnitude, which near a
minimum is positive.

Metrics: `eigenvalue`, in nats per squared unit of weight; `loss`, the mean loss that H is of, in
nats; `iterations`, how many it took.

Raises BadRequest if the task trains no classifier or the targets are not class numbers, RunFailed
if the loss is not finite.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest, RunFailed
from ppr.fields import Count, Positive
from ppr.optimizers.norms import total_norm
from ppr.registry import component

WHERE = "evaluator.sharpness"


@component("evaluator")
class Sharpness:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(self, *, iterations: Count = 100, tolerance: Positive = 1e-3) -> None:
        self.iterations = iterations
        self.tolerance = tolerance

    def protocol(self) -> dict[str, object]:
        return {
            "measures": "the Hessian of the mean training loss, without augmentation",
            "method": "power iteration",
            "iterations": self.iterations,
            "tolerance": self.tolerance,
        }

    def __call__(self, subject: Subject) -> dict[str, float]:
        subject.class_count(WHERE)
        subject.split(subject.target_split)  # must be there, though all is measured on the other
        network = subject.classifying(WHERE)
        if subject.split("train").targets.dim() != 1:
            raise BadRequest(f"{WHERE}: needs targets that are class numbers")
        parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        generator = subject.generator("sharpness", "cpu")
        vector = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
        eigenvalue, done = torch.inf, 0
        with evaluating(network), torch.enable_grad():
            while done < self.iterations:
                torch._foreach_mul_(vector, 1 / total_norm(vector))
                product, loss = self._product(subject, network, parameters, vector)
                before, eigenvalue = eigenvalue, _dot(vector, product).item()
                done += 1
                if abs(eigenvalue - before) <= self.tolerance * abs(eigenvalue):
                    break
                vector = product
        if not math.isfinite(eigenvalue):
            raise RunFailed(f"{WHERE}: the loss or its curvature is NaN or infinite")
        return {"eigenvalue": eigenvalue, "loss": loss.item(), "iterations": float(done)}

    def _product(
        self,
        subject: Subject,
        network: torch.nn.Module,
        parameters: list[Tensor],
        vector: list[Tensor],
    ) -> tuple[list[Tensor], Tensor]:
        """H v by differentiating v^T grad L, and the loss L, summed over the split's batches."""
        size = len(subject.split("train"))
        product = [torch.zeros_like(p) for p in parameters]
        whole = torch.zeros((), device=subject.device)
        for inputs, targets in subject.batches("train"):
            loss = F.cross_entropy(network(inputs), targets, reduction="sum") / size
            gradient = torch.autograd.grad(loss, parameters, create_graph=True)
            slope = _dot(vector, gradient)
            part = torch.autograd.grad(slope, parameters, materialize_grads=True)
            torch._foreach_add_(product, part)
            whole += loss.detach()
        return product, whole


def _dot(one: list[Tensor], other: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(one, other, strict=True)]).sum()
