"""Group fairness of a binary classifier: how much groups differ in what they are granted.

With y^ = 1 where the margin of class 1 is above 0, and y^+ the same after the best effort of size
`effort` (ppr/evaluators/fairness/effort.py), each disparity is max_z |P(. | z) - P(.)| of

    dp      P(y^ = 1)                    demographic parity
    eo      P(y^ = 1 | y = 1)            equal opportunity
    eodds   that, and P(y^ = 1 | y = 0)  equalised odds: the larger of the two
    be      P(y^+ = 1, y^ = 0)           bounded effort
    ei      P(y^+ = 1 | y^ = 0)          equal improvability

as model_performance in utils/utils.py of https://github.com/guldoganozgur/ei_fairness; a group to
which a condition never applies has the rate 0. Metrics, fractions of 1: these; `top1`; `accepted`,
the share that is accepted, for a model that accepts nobody or everybody is fair to all groups; and
`improvable`, P(y^+ = 1 | y^ = 0). The last three of the list are only there with `effort` above 0.

Raises BadRequest for a data set of other than two classes, or without groups.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from ppr.data.dataset import Split
from ppr.engine.subject import Subject, evaluating
from ppr.errors import BadRequest
from ppr.evaluators.fairness.effort import best_effort, improvable_inputs
from ppr.fields import Count, NonNegative
from ppr.registry import component

WHERE = "evaluator.group_fairness"


def disparity(event: Tensor, given: Tensor, group: Tensor) -> float:
    """max_z |P(event | given, z) - P(event | given)|, from booleans [N] and group numbers [N]."""
    overall = _rate(event & given, given)
    return max(
        abs(_rate(event & given & (group == z), given & (group == z)) - overall)
        for z in torch.unique(group).tolist()
    )


def _rate(part: Tensor, whole: Tensor) -> float:
    return int(part.sum()) / max(int(whole.sum()), 1)


@component("evaluator")
class GroupFairness:
    needs: ClassVar[Literal["features", "logits"]] = "logits"

    def __init__(self, *, effort: NonNegative = 0.0, steps: Count = 1) -> None:
        self.effort, self.steps = effort, steps

    def protocol(self) -> dict[str, object]:
        return {"measures": "the task's own classifier", "epoch": "last", "effort": self.effort}

    def __call__(self, subject: Subject) -> dict[str, float]:
        split = subject.split(subject.target_split)
        if not isinstance(split, Split) or "group" not in split.extra:
            raise BadRequest(f"{WHERE}: the data set {subject.dataset.name!r} has no groups")
        if subject.class_count(WHERE) != 2:
            raise BadRequest(f"{WHERE}: needs a data set of two classes")
        group = split.extra["group"].to(subject.device)
        logits, target = subject.logits(subject.target_split, WHERE)
        accepted, good = logits[:, 1] > logits[:, 0], target == 1
        everyone = torch.ones_like(good)
        opportunity = disparity(accepted, good, group)
        found = {
            "top1": _rate(accepted == good, everyone),
            "accepted": _rate(accepted, everyone),
            "dp": disparity(accepted, everyone, group),
            "eo": opportunity,
            "eodds": max(opportunity, disparity(accepted, ~good, group)),
        }
        if self.effort:
            rejected = ~accepted
            reached = self._reached(subject, split) & rejected
            found |= {
                "be": disparity(reached, everyone, group),
                "ei": disparity(reached, rejected, group),
                "improvable": _rate(reached, rejected),
            }
        return found

    def _reached(self, subject: Subject, split: Split) -> Tensor:
        """Who is accepted after the best effort."""
        assert subject.network is not None
        assert subject.transform is not None
        room = improvable_inputs(subject.dataset, f"{WHERE}.effort={self.effort}")
        with evaluating(subject.network):
            inputs = subject.transform(split.inputs.to(subject.device))
            best = best_effort(
                subject.network, inputs, room.to(subject.device), self.effort, self.steps
            )
            with torch.no_grad():
                logits = subject.network(best)
            reached: Tensor = logits[:, 1] > logits[:, 0]
        return reached
