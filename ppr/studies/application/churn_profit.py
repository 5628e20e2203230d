"""Whom to target in a campaign against churn: a model of churn, or one trained for the profit.

The predict-and-optimise approach of "A predict-and-optimize approach to profit-driven churn
prevention", arXiv:2310.07047, on synthetic customers, as the paper's data are not public. Targeting
customer i, who would leave (y = 1) or stay, and is worth CLV_i, brings

    pi_i = y_i (g (CLV_i - d - c) - (1 - g) c) - (1 - y_i) (d + c)

with g the share of leavers who accept the offer, d its cost, c that of contact: the usual profit of
a campaign; the paper's own constants are not in its abstract. The rules, all linear:

average     logistic regression of churn; target where its profit at the mean CLV is above 0
individual  the same with each customer's own CLV
decision    the score s itself is learnt from profits, by weighted logistic loss
            |pi| log(1 + exp(-sign(pi) s)); target where s > 0
relaxed     the same by the relaxed profit -pi sigmoid(s / 0.3), begun where `decision` ends, as it
            has other minima
oracle      target where pi > 0, as with perfect information

`decision` and `relaxed` see log CLV too, and profits divided by their mean size. `customers` to
train on and as many to test; 15 standard normal features; churn is a logit of them, with terms that
are not linear if `misspecified`; CLV = exp(4 + 0.6 u.x + 0.6 noise). Ridge 1e-3, solved to the end.
float64.

Metrics, of the `rule` on the test customers: `decision/profit`, the mean a customer;
`decision/regret`, what the oracle makes more; `decision/share`, how many are targeted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.engine.seeding import generator
from ppr.fields import Count, Fraction, NonNegative
from ppr.registry import component
from ppr.studies.study import Study

FEATURES = 15
RIDGE = 1e-3
TEMPERATURE = 0.3
ITERATIONS = 200


@component("task")
class ChurnProfit(Study):
    """`accept`: g; `incentive`: d; `contact`: c."""

    def __init__(
        self,
        bench: Bench,
        *,
        customers: Count = 3000,
        misspecified: bool = False,
        rule: Literal["average", "individual", "decision", "relaxed", "oracle"] = "decision",
        accept: Fraction = 0.3,
        incentive: NonNegative = 10.0,
        contact: NonNegative = 1.0,
    ) -> None:
        super().__init__(bench)
        self.customers, self.misspecified = customers, misspecified
        self.rule = rule
        self.accept, self.incentive, self.contact = accept, incentive, contact

    def measure(self) -> dict[str, dict[str, float]]:
        x, churn, value = (part.to(self.bench.device) for part in self._customers())
        profit = self.profit(churn, value)
        train, test = slice(self.customers), slice(self.customers, None)
        if self.rule == "oracle":
            targeted = profit[test] > 0
        elif self.rule in ("average", "individual"):
            logit = fit(x[train], lambda s: F.binary_cross_entropy_with_logits(s, churn[train]))
            leaves = scores(logit, x[test]).sigmoid()
            worth = value[test] if self.rule == "individual" else value[train].mean()
            targeted = self.profit(leaves, worth) > 0
        else:
            seen = torch.cat([x, value.log().unsqueeze(1)], dim=1)
            scaled = profit[train] / profit[train].abs().mean()
            weights = fit(seen[train], lambda s: weighted_logistic(s, scaled))
            if self.rule == "relaxed":
                weights = fit(seen[train], lambda s: relaxed_loss(s, scaled), start=weights)
            targeted = scores(weights, seen[test]) > 0
        made = (profit[test] * targeted).mean().item()
        most = profit[test].clamp(min=0).mean().item()
        share = targeted.double().mean().item()
        return {"decision": {"profit": made, "regret": most - made, "share": share}}

    def profit(self, leaves: Tensor, value: Tensor) -> Tensor:
        """Of targeting customers who leave or not (1, 0), or with these probabilities."""
        g, d, c = self.accept, self.incentive, self.contact
        return leaves * (g * (value - d - c) - (1 - g) * c) - (1 - leaves) * (d + c)

    def _customers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features [2 N, 15], churn [2 N] and CLV [2 N], on the CPU."""
        random = generator(torch.device("cpu"), self.bench.seed, "churn")

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=random)

        x = normal(2 * self.customers, FEATURES)
        logit = x @ normal(FEATURES) / FEATURES**0.5 * 1.5 - 1
        if self.misspecified:
            logit = logit + x[:, 0] * x[:, 1] + 0.7 * (x[:, 2] ** 2 - 1)
        drawn = torch.rand(len(x), dtype=torch.float64, generator=random)
        churn = (drawn < logit.sigmoid()).double()
        value = torch.exp(4 + 0.6 * x @ F.normalize(normal(FEATURES), dim=0) + 0.6 * normal(len(x)))
        return x, churn, value


def weighted_logistic(scores: Tensor, profits: Tensor) -> Tensor:
    return (profits.abs() * F.softplus(-profits.sign() * scores)).mean()


def relaxed_loss(scores: Tensor, profits: Tensor) -> Tensor:
    return -(profits * (scores / TEMPERATURE).sigmoid()).mean()


def scores(weights: Tensor, x: Tensor) -> Tensor:
    """Linear scores [N] of features [N, F]; the first of the weights [1 + F] is the offset."""
    return x @ weights[1:] + weights[0]


def fit(x: Tensor, loss: Callable[[Tensor], Tensor], start: Tensor | None = None) -> Tensor:
    """The weights [1 + F] whose scores make a loss of them least, with a ridge."""
    weights = x.new_zeros(x.shape[1] + 1) if start is None else start.clone()
    weights.requires_grad_()
    solver = torch.optim.LBFGS(
        [weights], max_iter=ITERATIONS, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        value = loss(scores(weights, x)) + RIDGE * weights[1:].square().sum()
        torch.autograd.backward(value)
        return value

    solver.step(objective)  # type: ignore[no-untyped-call]
    return weights.detach()
