"""The focal loss's own numbers: how many times smaller it is than cross-entropy.

Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 3.2. By (4) and (5),

    CE(p_t) / FL(p_t) = 1 / (alpha_t (1 - p_t)^gamma)

so 100 at p_t = 0.9 and 1/0.032^2 = 976.5625 at p_t = 0.968, with gamma = 2 and no alpha; and 2
whatever p_t is, with gamma = 0 and alpha = 0.5. The losses measured are those that runs train with,
on float64 logits of two classes with the given p_t.

Metrics: `formula/ratio_0.9`, `formula/ratio_0.968`, `formula/ratio_gamma_0` (the value farthest
from 2 over p_t from 0.01 to 0.99).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.losses.classification_loss.cross_entropy import CrossEntropyLoss
from ppr.losses.classification_loss.focal import FocalLoss
from ppr.registry import component
from ppr.studies.study import Study


@component("task")
class FocalFormula(Study):
    def measure(self) -> dict[str, dict[str, float]]:
        plain, halved = FocalLoss(gamma=2.0, alpha=None), FocalLoss(gamma=0.0, alpha=0.5)
        everywhere = [self._ratio(halved, p / 100) for p in range(1, 100)]
        return {
            "formula": {
                "ratio_0.9": self._ratio(plain, 0.9),
                "ratio_0.968": self._ratio(plain, 0.968),
                "ratio_gamma_0": max(everywhere, key=lambda ratio: abs(ratio - 2)),
            }
        }

    def _ratio(self, focal: FocalLoss, p_t: float) -> float:
        logits = torch.tensor([[1 - p_t, p_t]], dtype=torch.float64, device=self.bench.device).log()
        target = torch.ones(1, dtype=torch.int64, device=logits.device)
        ratio: Tensor = CrossEntropyLoss()(logits, target) / focal(logits, target)
        return ratio.item()
