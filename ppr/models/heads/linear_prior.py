"""Linear classifier that begins with a small probability of all classes but the background, 0.

    logits = W h + b,    b_0 = log(1 - prior),    b_k = log(prior / (classes - 1))

Lin et al., "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 3.3: b is
-log((1 - prior) / prior) for a sigmoid, which of two classes is the difference b_1 - b_0 here; the
default is prior_probability of torchvision's RetinaNetClassificationHead. W starts as any linear
layer's does. Shapes: [N, F] -> [N, classes].

Raises BadRequest for a single class, or a prior of 0 or 1.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ppr.errors import BadRequest
from ppr.fields import Fraction
from ppr.registry import component


@component("head", outputs="classes")
class LinearPriorHead(nn.Linear):
    def __init__(self, features: int, classes: int, *, prior: Fraction = 0.01) -> None:
        super().__init__(features, classes)
        if not 0 < prior < 1:
            raise BadRequest(f"head.prior={prior}: must be between 0 and 1, and neither")
        if classes < 2:
            raise BadRequest("head linear_prior: needs a background and a class beside it")
        with torch.no_grad():
            self.bias.fill_(math.log(prior / (classes - 1)))
            self.bias[0] = math.log1p(-prior)
