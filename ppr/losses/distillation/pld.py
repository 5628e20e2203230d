"""PLD, Plackett-Luce distillation: the student ranks the classes as the teacher does.

Paper: "PLD: A Choice-Theoretic List-Wise Knowledge Distillation", arXiv:2506.12542. Let pi be the
true class first, then the others by the teacher's falling logits t; s the student's logits:

    L = 1/N sum_n sum_{k=1..C} q_{pi_k} ( log sum_{l >= k} e^{s_{pi_l}} - s_{pi_k} )

a Plackett-Luce likelihood, each choice of it weighted by q = softmax(t / T). Convex in s, and
unchanged by adding a constant to s. With q one-hot at the true class it is cross-entropy, and with
equal weights (`weights: equal`: 1/C) ListMLE (Xia et al., ICML 2008) over C. No other term, and no
weight to choose but T. In nats.

No code of the authors was found; the formula, read in the paper's abstract and a summary of it, was
compared with a re-implementation (the PlackettLuce loss module of pylate). Ties of t keep the
classes' order.

Shapes: student and teacher logits [N, C], target [N] integers. Half precision is computed in
float32. An empty batch gives 0.

Raises ValueError for logits of two shapes, or targets that are no class numbers.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses._batch import widen
from ppr.losses.distillation._soft import check_shapes, mean
from ppr.registry import component


@component("loss", family="distillation")
class PLDLoss(nn.Module):
    def __init__(
        self, *, temperature: Positive = 1.0, weights: Literal["teacher", "equal"] = "teacher"
    ) -> None:
        super().__init__()
        self.temperature, self.weights = temperature, weights

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        check_shapes(student, teacher)
        if target.is_floating_point():
            raise ValueError("target: expected class numbers [N], of which one is ranked first")
        student, teacher = widen(student), widen(teacher).detach()
        first = teacher.scatter(1, target[:, None], torch.inf)
        order = first.argsort(dim=1, descending=True, stable=True)
        ranked = student.gather(1, order)
        remaining = ranked.flip(1).logcumsumexp(1).flip(1)
        if self.weights == "equal":
            return mean((remaining - ranked).mean(1))
        shares = (teacher / self.temperature).softmax(1).gather(1, order)
        return mean((shares * (remaining - ranked)).sum(1))
