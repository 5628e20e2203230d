"""Muon for the hidden weight matrices and convolutions, AdamW for all other parameters.

Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon/, and muon.py of https://github.com/KellerJordan/Muon.

    B_t = momentum * B_{t-1} + (1 - momentum) * g_t      B_0 = 0
    U_t = (1 - momentum) * g_t + momentum * B_t          nesterov; B_t without
    O_t = NewtonSchulz(U_t)                              nearly U (U^T U)^(-1/2)
    w_{t+1} = (1 - lr * weight_decay) * w_t - lr * s * O_t

A convolution [out, in, kh, kw] counts as the matrix [out, in * kh * kw]. NewtonSchulz divides by
the Frobenius norm and iterates X <- a X + (b A + c A A) X, A = X X^T, in bfloat16. For a matrix
[m, n], s = sqrt(max(1, m / n)) (`scale: original`), or 0.2 * sqrt(max(m, n)), which gives the
updates AdamW's size so that its learning rates can be used (`match_rms_adamw`:
https://arxiv.org/abs/2502.16982). These are torch.optim.Muon's equations and, to the
bit, its results; but that class takes no convolutions (timm's takes them; timm is an extra). In
muon.py, s is 1 for a convolution with a square kernel (it is computed from the kernel's sides);
here it follows the matrix.

Hidden weights are those of linear and convolutional layers, but for the first and the last such
layer of the model (input and output), as the README of KellerJordan/Muon advises.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import BelowOne, Count, NonNegative, Positive
from ppr.optimizers.groups import decay_groups, fused
from ppr.optimizers.norms import norms
from ppr.registry import component

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration: `zeropower_via_newtonschulz5` in muon.py."""
EPS = 1e-7


def newton_schulz(update: Tensor, iterations: int) -> Tensor:
    """The matrix with the singular vectors of `update` [m, n] and singular values near 1."""
    a, b, c = COEFFICIENTS
    X = update.bfloat16()
    tall = X.shape[0] > X.shape[1]
    X = X.T if tall else X
    X = X / norms([X])[0].clamp(min=EPS)
    for _ in range(iterations):
        A = X @ X.T
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    return X.T if tall else X


class Muon(torch.optim.Optimizer):
    """Muon on the first parameter group, the groups of a torch.optim.AdamW after it.

    One optimizer with one state: AdamW's step runs on this optimizer's groups and state.
    """

    def __init__(self, matrices: dict[str, Any], adamw: torch.optim.AdamW) -> None:
        self.adamw = adamw
        super().__init__([matrices, *adamw.param_groups], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step_matrices(self.param_groups[0])
        # Bound at each step, since load_state_dict replaces both.
        self.adamw.param_groups, self.adamw.state = self.param_groups[1:], self.state
        self.adamw.step()
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        lr, momentum = group["lr"], group["momentum"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(weight.grad)
            buffer = state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
            update = weight.grad.lerp(buffer, momentum) if group["nesterov"] else buffer
            update = newton_schulz(update.flatten(1), group["iterations"]).reshape(weight.shape)
            scale = _scale(weight.shape[0], weight[0].numel(), group["scale"])
            weight.mul_(1 - lr * group["weight_decay"]).add_(update, alpha=-lr * scale)


def _scale(rows: int, columns: int, rule: str) -> float:
    if rule == "original":
        return math.sqrt(max(1, rows / columns))
    return 0.2 * math.sqrt(max(rows, columns))


def hidden_weights(model: nn.Module) -> list[Tensor]:
    """Trainable weights of all linear and convolutional layers but the first and the last."""
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    parts = [part for part in model.modules() if isinstance(part, layers)]
    found = list(dict.fromkeys(part.weight for part in parts))
    # A linear layer may share the weight of an embedding, which is not a hidden layer.
    embeddings = {part.weight for part in model.modules() if isinstance(part, nn.Embedding)}
    return [w for w in found[1:-1] if w.requires_grad and w not in embeddings]


@component("optimizer")
def muon(
    model: nn.Module,
    *,
    lr: Positive = 0.02,
    momentum: BelowOne = 0.95,
    nesterov: bool = True,
    iterations: Count = 5,
    weight_decay: NonNegative = 0.01,
    scale: Literal["original", "match_rms_adamw"] = "original",
    adamw_lr: Positive = 3e-4,
    adamw_beta1: BelowOne = 0.9,
    adamw_beta2: BelowOne = 0.95,
    adamw_eps: Positive = 1e-10,
    decay_norm_and_bias: bool = True,
) -> torch.optim.Optimizer:
    """
    Raises:
        BadRequest: the model has no hidden weights, or nothing but hidden weights to train.
    """
    matrices = hidden_weights(model)
    chosen = set(matrices)
    rest = [p for p in model.parameters() if p.requires_grad and p not in chosen]
    if not matrices or not rest:
        raise BadRequest(
            "optimizer.name=muon: the model needs a linear or convolutional layer between its "
            "first and last ones; use adamw"
        )
    group = {
        "params": matrices,
        "lr": lr,
        "momentum": momentum,
        "nesterov": nesterov,
        "iterations": iterations,
        "weight_decay": weight_decay,
        "scale": scale,
    }
    adamw = torch.optim.AdamW(
        decay_groups(rest, weight_decay, decay_norm_and_bias),
        lr=adamw_lr,
        betas=(adamw_beta1, adamw_beta2),
        eps=adamw_eps,
        fused=fused(model),
    )
    return Muon(group, adamw)
