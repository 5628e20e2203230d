"""What optimizers share: parameter groups with and without weight decay, and fused kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def decay_groups(
    parameters: Iterable[nn.Parameter], weight_decay: float, decay_norm_and_bias: bool
) -> list[dict[str, Any]]:
    """The trainable parameters in one group, or in two: with and without weight decay.

    Scales and offsets of normalisation layers, and biases, are the parameters with at most one
    dimension, as in main.py of https://github.com/facebookresearch/barlowtwins. A single number, as
    a loss's temperature or bias is, is never decayed, as in CLIP and open_clip: its zero is no
    simpler a model.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    least = 1 if decay_norm_and_bias else 2
    decayed = [parameter for parameter in trainable if parameter.ndim >= least]
    rest = [parameter for parameter in trainable if parameter.ndim < least]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def fused(model: nn.Module) -> bool | None:
    """True where every parameter has a fused kernel; None leaves the choice to torch.

    Fused kernels are elementwise and so deterministic. The optimizer is built after the model is
    on its device.
    """
    devices = {parameter.device.type for parameter in model.parameters()}
    floating = all(parameter.is_floating_point() for parameter in model.parameters())
    return True if floating and devices <= {"cpu", "cuda", "mps", "xpu"} else None
