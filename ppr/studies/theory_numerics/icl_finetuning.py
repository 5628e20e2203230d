"""In-context learning of linear attention, fine-tuned whole or in its value matrix alone.

"Fine-Tuning Without Forgetting In-Context Learning: A Theoretical Analysis of Linear Attention
Models", 2026. A prompt has rows z_j = (1, x_j, y_j) for m demonstrations and the query z_q =
(1, x_q, 0), with x ~ N(0, I_d), y = theta.x, |theta| = 1. The prediction is the query's last entry,

    f(Z) = (1/n) sum_j (z_q Q z_j) (v.z_j)      j over demonstrations and query, n = max(m, 1)

where v is the last row of the value matrix. Parameters, theta0 being the task tuned for:

    pretrained  Q_xx = g I, g = m/(m+d+1), v_y = 1
    value       the same Q; v_x = theta0 / (g (d+4)), v_y = 1
    all         Q_11 = 1, v_x = theta0, v_y = 1: zero-shot exact, and x_q.x_j is no longer seen

The paper has v_x = theta0/(d+4), for Q_xx = I. There are 4 d demonstrations unless told. With
`train`, what is named is free and is trained from the pretrained point on zero-shot prompts of
theta0 (Adam, cosine); `auxiliary` adds the loss on prompts of theta0 with demonstrations.

Mean squared errors over random prompts `measured/…`: `zero_shot` (of theta0), `target` (m
demonstrations of theta0), `unseen` (of a random task). `theory/…`, of the parameters above, derived
with u = v_x and t = theta0.u (target) or 0 (unseen):

    pretrained  zero_shot 1, target = unseen = (d+1)/(m+d+1)
    value       zero_shot 2/(d+4); 1 - g + g |u|^2 + 2 (d+2) (g/m) (g |u|^2 - (1-g) t)
                + (g/m)^2 (d+2)(d+4) |u|^2
    all         zero_shot 0; target (1 - 1/m)^2 + 4/m, unseen 1 + 1/m^2 + 2/m
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Literal, Positive
from ppr.registry import component
from ppr.studies.study import Study

CHUNK = 20_000
"""Prompts that are held at once."""


def predict(prompts: Tensor, Q: Tensor, v: Tensor) -> Tensor:
    """Prompts [N, m+1, d+2], the query last -> predictions [N]."""
    scores = torch.einsum("nd,de,nje->nj", prompts[:, -1], Q, prompts)
    return (scores * (prompts @ v)).sum(1) / max(prompts.shape[1] - 1, 1)


def draw(tasks: Tensor, demonstrations: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Prompts of tasks [N, d], and what the query's y is."""
    N, d = tasks.shape
    x = torch.randn(
        N, demonstrations + 1, d, generator=random, dtype=tasks.dtype, device=tasks.device
    )
    y = torch.einsum("njd,nd->nj", x, tasks)
    target = y[:, -1].clone()
    y[:, -1] = 0
    return torch.cat([torch.ones_like(y)[..., None], x, y[..., None]], dim=2), target


def theory(which: str, d: int, m: int) -> dict[str, float]:
    g = m / (m + d + 1)
    if which == "pretrained":
        return {"zero_shot": 1.0, "target": 1 - g, "unseen": 1 - g}
    if which == "all":
        return {"zero_shot": 0.0, "target": (1 - 1 / m) ** 2 + 4 / m, "unseen": 1 + m**-2 + 2 / m}
    u = 1 / (g * (d + 4))

    def error(t: float) -> float:
        cross = 2 * (d + 2) * g / m * (g * u**2 - (1 - g) * t)
        return 1 - g + g * u**2 + cross + (g / m) ** 2 * (d + 2) * (d + 4) * u**2

    return {"zero_shot": 2 / (d + 4), "target": error(u), "unseen": error(0.0)}


@component("task")
class ICLFinetuning(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        parameters: Literal["pretrained", "value", "all"] = "pretrained",
        train: bool = False,
        auxiliary: bool = False,
        dim: Count = 5,
        demonstrations: Count | None = None,
        prompts: Count = 100_000,
        steps: Count = 800,
        batch: Count = 256,
        lr: Positive = 0.01,
    ) -> None:
        super().__init__(bench)
        self.parameters, self.train, self.auxiliary = parameters, train, auxiliary
        self.dim, self.demonstrations, self.prompts = dim, demonstrations or 4 * dim, prompts
        self.steps, self.batch, self.lr = steps, batch, lr
        self.task = self._tasks(1, "task")[0]

    def measure(self) -> dict[str, dict[str, float]]:
        if self.train and self.parameters != "pretrained":
            Q, v = self._trained()
        else:
            Q, v = self._closed(self.parameters)
        m = self.demonstrations
        measured = {
            "zero_shot": self._error(Q, v, 0, self.task),
            "target": self._error(Q, v, m, self.task),
            "unseen": self._error(Q, v, m, None),
        }
        # Training the whole has many ends, and with the auxiliary loss no closed form.
        known = not self.train or (self.parameters == "value" and not self.auxiliary)
        closed = theory(self.parameters, self.dim, m) if known else {}
        return {"measured": measured, "theory": closed}

    def _random(self, *purpose: object) -> torch.Generator:
        return generator(self.bench.device, self.bench.seed, "icl", *purpose)

    def _tasks(self, count: int, *purpose: object) -> Tensor:
        drawn = torch.randn(
            count,
            self.dim,
            generator=self._random(*purpose),
            dtype=torch.float64,
            device=self.bench.device,
        )
        return torch.nn.functional.normalize(drawn, dim=1)

    def _closed(self, which: str) -> tuple[Tensor, Tensor]:
        d, m = self.dim, self.demonstrations
        g = m / (m + d + 1)
        Q, v = self.task.new_zeros(d + 2, d + 2), self.task.new_zeros(d + 2)
        v[-1] = 1
        if which == "all":
            Q[0, 0] = 1
            v[1:-1] = self.task
        else:
            Q[1:-1, 1:-1] = g * torch.eye(d)
            if which == "value":
                v[1:-1] = self.task / (g * (d + 4))
        return Q, v

    def _trained(self) -> tuple[Tensor, Tensor]:
        Q, v = self._closed("pretrained")
        free = [v] if self.parameters == "value" else [Q, v]
        for tensor in free:
            tensor.requires_grad_()
        optimizer = torch.optim.Adam(free, lr=self.lr)
        random = self._random("train")
        tasks = self.task.expand(self.batch, -1)
        for step in range(self.steps):
            optimizer.param_groups[0]["lr"] = (
                self.lr * (1 + math.cos(math.pi * step / self.steps)) / 2
            )
            loss = self.task.new_zeros(())
            for shots in (0, self.demonstrations) if self.auxiliary else (0,):
                prompts, target = draw(tasks, shots, random)
                loss = loss + (predict(prompts, Q, v) - target).square().mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return Q.detach(), v.detach()

    def _error(self, Q: Tensor, v: Tensor, shots: int, task: Tensor | None) -> float:
        """Over prompts of one task, or of a random one each."""
        random = self._random("prompts", shots, task is None)
        tasks = (
            self._tasks(self.prompts, "unseen") if task is None else task.expand(self.prompts, -1)
        )
        total = 0.0
        for start in range(0, self.prompts, CHUNK):
            prompts, target = draw(tasks[start : start + CHUNK], shots, random)
            total += (predict(prompts, Q, v) - target).square().sum().item()
        return total / self.prompts
