"""Unlearning in a convex problem, where what retraining would give is known.

Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", 2024, its convex
setting. Multinomial logistic regression with a bias column,

    L(W; S) = sum_{i in S} CE(x_i W, y_i) + l2 / 2 |W|^2

is solved by Newton's method on all training samples and without the forget set F: `forget` samples
of one class, those farthest along a random direction. From the full solution, `steps` steps of SGD
with batches of `batch` try to reach the other:

    descent   on the retained samples                                  (gradients of L's mean)
    both      the same, with ascent on samples of F
    matching  on |x W - f(x)|^2 / 2 of retained samples and ones of F, f the predicted outputs
    oracle    the same with the retrained model's outputs
    nothing   no step

The prediction is an attribution, from the full solution W with g = sum_{i in F} grad CE:
    newton     W + H^-1 g, H the Hessian without F: one Newton step on the retained loss
    influence  W + H^-1 g, H the Hessian with F: the sum of first-order influences

Metrics, mean absolute differences from the outputs of the retrained model: `error/forget`,
`error/retain`, `error/test`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.data.dataset import Split
from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.errors import RunFailed
from ppr.fields import Count, Literal, NonNegative, Positive, Whole
from ppr.registry import component
from ppr.studies.study import Study

NEWTON_STEPS = 50
FORGET_SHARE = 3
"""One in so many of a batch is of the forget set, where a method looks at both."""


@component("task")
class UnlearningConvex(Study):
    """
    Raises:
        RunFailed: Newton's method does not converge, so `l2` is too small.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        method: Literal["nothing", "descent", "both", "matching", "oracle"] = "matching",
        attribution: Literal["newton", "influence"] = "newton",
        forget: Count = 40,
        l2: Positive = 1.0,
        lr: NonNegative = 0.1,
        steps: Whole = 380,
        batch: Count = 50,
    ) -> None:
        super().__init__(bench)
        self.method, self.attribution, self.forget = method, attribution, forget
        self.l2, self.lr, self.steps, self.batch = l2, lr, steps, batch
        data = bench.dataset
        assert isinstance(data.train, Split)
        assert isinstance(data.test, Split)
        self.classes = len(data.classes)
        (self.x, self.y), (self.x_test, _) = map(_rows, (data.train, data.test))
        self.random = generator(torch.device("cpu"), bench.seed, "unlearning")

    def measure(self) -> dict[str, dict[str, float]]:
        gone = self._forget_set()
        kept = ~gone
        full, again = self._solve(torch.ones_like(gone)), self._solve(kept)
        found = full if self.method == "nothing" else self._unlearn(full, again, gone)

        def error(x: Tensor) -> float:
            return (x @ (found - again)).abs().mean().item()

        parts = {"forget": self.x[gone], "retain": self.x[kept], "test": self.x_test}
        return {"error": {name: error(x) for name, x in parts.items()}}

    def _forget_set(self) -> Tensor:
        """Samples of one class, the farthest along a random direction. [N]"""
        label = torch.randint(self.classes, (), generator=self.random)
        direction = torch.randn(self.x.shape[1], generator=self.random, dtype=self.x.dtype)
        score = (self.x @ direction).masked_fill(self.y != label, -torch.inf)
        gone = torch.zeros(len(self.x), dtype=torch.bool)
        count = min(self.forget, int((self.y == label).sum()))
        gone[score.topk(count).indices] = True
        return gone

    def _gradient(self, w: Tensor, of: Tensor) -> Tensor:
        """Of the summed cross-entropy. [F, C]"""
        wrong = (self.x[of] @ w).softmax(1) - F.one_hot(self.y[of], self.classes)
        return self.x[of].T @ wrong

    def _hessian(self, w: Tensor, of: Tensor) -> Tensor:
        """Of L. [F C, F C]"""
        x, p = self.x[of], (self.x[of] @ w).softmax(1)
        inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
        size = w.numel()
        hessian = torch.einsum("nf,ncd,ng->fcgd", x, inner, x).reshape(size, size)
        return hessian + self.l2 * torch.eye(size, dtype=w.dtype)

    def _newton(self, w: Tensor, gradient: Tensor, of: Tensor) -> Tensor:
        step: Tensor = torch.linalg.solve(self._hessian(w, of), gradient.flatten())
        return w - step.view_as(w)

    def _solve(self, of: Tensor) -> Tensor:
        w = torch.zeros(self.x.shape[1], self.classes, dtype=self.x.dtype)
        for _ in range(NEWTON_STEPS):
            gradient = self._gradient(w, of) + self.l2 * w
            if gradient.norm() < 1e-9 * len(self.x):
                return w
            w = self._newton(w, gradient, of)
        raise RunFailed(f"task.l2={self.l2}: Newton's method did not converge; use a greater one")

    def _unlearn(self, full: Tensor, again: Tensor, gone: Tensor) -> Tensor:
        predicted = again
        if self.method == "matching":
            # At the full solution the retained samples' gradient of L is minus that of F.
            of = ~gone if self.attribution == "newton" else torch.ones_like(gone)
            predicted = self._newton(full, -self._gradient(full, gone), of)
        retained, forgotten = (part.nonzero().flatten() for part in (~gone, gone))
        some = self.batch // FORGET_SHARE
        w = full
        for _ in range(self.steps):
            if self.method == "descent":
                w = w - self.lr * self._mean(w, self._draw(retained, self.batch), len(retained))
                continue
            a, b = self._draw(retained, self.batch - some), self._draw(forgotten, some)
            if self.method == "both":
                ascent = self._gradient(w, b) / len(b)
                w = w - self.lr * (self._mean(w, a, len(retained)) - ascent)
            else:
                x = self.x[torch.cat([a, b])]
                w = w - self.lr * x.T @ (x @ (w - predicted)) / len(x)
        return w

    def _draw(self, rows: Tensor, count: int) -> Tensor:
        return rows[torch.randint(len(rows), (count,), generator=self.random)]

    def _mean(self, w: Tensor, rows: Tensor, of: int) -> Tensor:
        """The gradient of L / `of`, estimated on a batch."""
        return self._gradient(w, rows) / len(rows) + self.l2 / of * w


def _rows(split: Split) -> tuple[Tensor, Tensor]:
    """Inputs in [0, 1] with a bias column, in float64, and targets."""
    x = split.inputs.flatten(1).double()
    if split.inputs.dtype == torch.uint8:
        x = x / 255
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1), split.targets
