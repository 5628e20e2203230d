"""What a classifier should predict to please the focal and the dual focal loss, and not the truth.

Tao, Dong, Xu, "Dual Focal Loss for Calibration", arXiv:2305.13665. Of two classes, the first is
true with probability q > 1/2. The expected loss of predicting it with probability p,

    q L(p | true class 1) + (1 - q) L(p | true class 2)

is least at p = q for cross-entropy, below it for the focal loss, which so makes under-confident.
The minimum is sought over p > 1/2, on a grid and then by a bounded scalar search (scipy), with the
losses that runs train with, in float64. At p = 1/2 no class is strictly below the other, and the
dual focal loss jumps down in this one point.

Metrics: `cross_entropy/minimiser`, `focal/minimiser`, `dual_focal/minimiser`: the p that is best;
`theory/minimiser`, q; `dual_focal/closer`, |p_focal - q| - |p_dual_focal - q|: positive where the
dual focal loss leads nearer to the truth.
"""

from __future__ import annotations

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Fraction, NonNegative
from ppr.losses.calibration.dual_focal import DualFocalLoss
from ppr.losses.classification_loss.cross_entropy import CrossEntropyLoss
from ppr.losses.classification_loss.focal import FocalLoss
from ppr.registry import component
from ppr.studies.study import Study

GRID = 1000


@component("task")
class ExpectedLossMinimiser(Study):
    """
    Raises:
        BadRequest: the first class is certain, or not the more probable one.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        true: Fraction = 0.7,
        gamma: NonNegative = 3.0,
    ) -> None:
        super().__init__(bench)
        if not 0.5 < true < 1:
            raise BadRequest(f"task.true={true}: must be between 0.5 and 1, and neither")
        self.true = true
        self.losses = {
            "cross_entropy": CrossEntropyLoss(),
            "focal": FocalLoss(gamma=gamma, alpha=None),
            "dual_focal": DualFocalLoss(gamma=gamma),
        }

    def measure(self) -> dict[str, dict[str, float]]:
        found = {name: self._minimiser(loss) for name, loss in self.losses.items()}
        off = {name: abs(p - self.true) for name, p in found.items()}
        metrics = {name: {"minimiser": p} for name, p in found.items()}
        metrics["dual_focal"]["closer"] = off["focal"] - off["dual_focal"]
        return {**metrics, "theory": {"minimiser": self.true}}

    def _minimiser(self, loss: nn.Module) -> float:
        target = torch.tensor([[self.true, 1 - self.true]], dtype=torch.float64)

        def expected(p: float) -> float:
            logits = torch.tensor([[p, 1 - p]], dtype=torch.float64).log()
            value: Tensor = loss(logits, target)
            return value.item()

        step = 0.5 / GRID
        grid = (0.5 + i * step for i in range(1, GRID))
        near = min((expected(p), p) for p in grid)[1]
        bounds = max(near - step, 0.5 + 1e-9), min(near + step, 1 - 1e-9)
        options = {"xatol": 1e-12}
        return float(minimize_scalar(expected, bounds=bounds, method="bounded", options=options).x)
