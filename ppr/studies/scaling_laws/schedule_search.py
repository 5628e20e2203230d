"""A learning-rate schedule found by minimising a fitted law's last loss, against the usual ones.

Luo et al., arXiv:2503.12811: with the multi-power law fitted (loss_curve_law.py), the falls of the
rate after the warm-up are free, none negative, and are chosen by gradient descent so that the
predicted last loss is least. The loss that the schedule truly ends at is exact
(scaling/quadratic.py). Rates end at a hundredth of the peak or above.

`kind` is `optimised` or one of scaling/quadratic.py's, down to `end` times the peak.

Metrics: `measured/loss`, the true last loss; for the optimised schedule also `measured/predicted`,
`measured/stable`, the share of steps after the warm-up at 90 % of the peak or more, and
`measured/end`, the last rate over the peak.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Fraction, Ge, Literal, NonNegative
from ppr.registry import component
from ppr.scaling.fit import Array
from ppr.scaling.quadratic import PEAK, WARMUP, expected_losses, schedule
from ppr.studies.scaling_laws.loss_curve_law import fitted
from ppr.studies.study import Study

LOWEST = 0.01


def last_loss(rates: Tensor, parameters: Array) -> Tensor:
    """The multi-power law at the last step of a schedule [T], to be differentiated by it."""
    L0, A, alpha, B, C, beta, gamma = parameters.tolist()
    falls = rates[:-1] - rates[1:]
    area = rates.cumsum(0)
    x = C * rates[1:] ** -gamma * (area[-1] - area[:-1])
    loss: Tensor = L0 + A * area[-1] ** -alpha - B * (falls * (1 - (1 + x) ** -beta)).sum()
    return loss


def optimised(parameters: Array, steps: int, updates: int) -> Array:
    warm = torch.tensor(schedule("constant", steps)[:WARMUP])
    # Shares of the way from the peak to the lowest rate; the last is not used up.
    logits = torch.zeros(steps - WARMUP + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)

    def rates() -> Tensor:
        gone = logits.softmax(0)[:-1].cumsum(0)
        return torch.cat([warm, PEAK * (1 - (1 - LOWEST) * gone)])

    for _ in range(updates):
        optimizer.zero_grad()
        torch.autograd.backward(last_loss(rates(), parameters))
        optimizer.step()
    return rates().detach().numpy()


@component("task")
class ScheduleSearch(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        kind: Literal[
            "optimised", "constant", "cosine", "linear", "wsd", "wsd_linear"
        ] = "optimised",
        end: Fraction = 0.1,
        steps: Annotated[int, Ge(200)] = 600,
        updates: Count = 1000,
        noise: NonNegative = 5e-4,
        tries: Count = 4,
    ) -> None:
        super().__init__(bench)
        self.kind, self.end, self.steps = kind, end, steps
        self.updates, self.noise, self.tries = updates, noise, tries

    def measure(self) -> dict[str, dict[str, float]]:
        if self.kind != "optimised":
            rates = schedule(self.kind, self.steps, self.end)
            return {"measured": {"loss": float(expected_losses(rates)[-1])}}
        random = np.random.default_rng(derive(self.bench.seed, "curves"))
        parameters = fitted("multi", self.steps, self.noise, random, self.tries).parameters
        rates = optimised(parameters, self.steps, self.updates)
        measured = {
            "loss": float(expected_losses(rates)[-1]),
            "predicted": float(last_loss(torch.tensor(rates), parameters)),
            "stable": float((rates[WARMUP:] >= 0.9 * PEAK).mean()),
            "end": float(rates[-1] / PEAK),
        }
        return {"measured": measured}
