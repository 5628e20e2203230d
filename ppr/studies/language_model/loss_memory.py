"""Bytes that a classifier and its loss hold at any shape, counted on no data at all.

Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009; shapes and
baseline of benchmark/__main__.py in apple/ml-cross-entropy. Embeddings [tokens, dim] and a
classifier [vocabulary, dim] stand on torch's meta device, which has shapes and no values, so that
any size is counted at once; the config's `loss` (of logits and classes) is that of

    whole   logits = e c^T, `softcap` tanh(logits / softcap) if there is one, float32, the loss
    fused   the same of kernels that a compiler makes: logits are kept as the product gave them, all
            else is made of them again a row at a time, but for the float32 gradient of the
            log-likelihood, which PyTorch 2.4 decomposes into zeros and a scatter (inductor has
            since come to fuse it)
    cut     cross-entropy a block of logits at a time, of
            ppr/losses/language_model/_cut_cross_entropy.py

Counted are tensors, each storage once from when it is met until it is freed, as
ppr/studies/contrastive/held_bytes.py does, less embeddings, classifier and targets; a block or row
of logits among them, which a kernel would keep on the chip. What a kernel takes inside itself is
not seen.

Metrics, MiB (2^20 bytes): `memory/forward`, the most of the forward pass; `memory/backward`, the
most of the backward pass beyond what was held when it began; `memory/both`, the most of both;
`memory/kept`, what the forward pass leaves behind; `memory/gradients`, of the two gradients alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppr.engine.bench import Bench
from ppr.errors import BadRequest
from ppr.fields import Count, Literal, Positive
from ppr.losses._partition import first_order
from ppr.losses.language_model._cut_cross_entropy import cut_cross_entropy
from ppr.registry import component
from ppr.studies.contrastive.held_bytes import HeldBytes
from ppr.studies.study import Study

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of embeddings [N, D], classifier [V, D] and targets [N]."""
MIB = 2**20


def whole(loss: Callable[[Tensor, Tensor], Tensor], softcap: float | None = None) -> Loss:
    """The loss of all logits at once, as a model without a fused head computes it."""

    def of(e: Tensor, c: Tensor, target: Tensor) -> Tensor:
        logits = e @ c.T
        if softcap is not None:
            logits = torch.tanh(logits / softcap) * softcap
        return loss(logits.to(torch.promote_types(logits.dtype, torch.float32)), target)

    return of


def fused(e: Tensor, c: Tensor, target: Tensor, softcap: float | None = None) -> Tensor:
    """Mean cross-entropy as compiled kernels hold it."""
    loss: Tensor = _Fused.apply(e, c, target, softcap)
    return loss


def _row(z: Tensor, softcap: float | None) -> Tensor:
    wide = z.to(torch.promote_types(z.dtype, torch.float32), copy=True)
    return wide if softcap is None else wide.div_(softcap).tanh_().mul_(softcap)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, e: Tensor, c: Tensor, target: Tensor, softcap: float | None) -> Tensor:
        z = e @ c.T
        wide = torch.promote_types(z.dtype, torch.float32)
        lse, correct = z.new_empty(len(z), dtype=wide), z.new_empty(len(z), dtype=wide)
        for i in range(len(z)):
            row = _row(z[i], softcap)
            correct[i : i + 1] = row.gather(0, target[i : i + 1])
            lse[i] = row.logsumexp(0)
        ctx.save_for_backward(e, c, target, z, lse)
        ctx.softcap = softcap
        return (lse - correct).mean()

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        e, c, target, z, lse = ctx.saved_tensors
        likelihood = torch.zeros_like(z, dtype=lse.dtype).scatter_(1, target[:, None], -1)
        to_z = torch.empty_like(z)
        for i in range(len(z)):
            row = _row(z[i], ctx.softcap)
            g = likelihood[i].add_((row - lse[i]).exp_())
            if ctx.softcap is not None:
                g.mul_(row.div_(ctx.softcap).square_().neg_().add_(1))
            to_z[i] = g.mul_(grad / len(z))
        del likelihood, g  # `g` is a part of it
        return to_z @ c, to_z.T @ e, None, None


def held(loss: Loss, e: Tensor, c: Tensor, target: Tensor) -> dict[str, float]:
    """Metrics of the loss and its gradients, in MiB."""
    e, c = (x.detach().requires_grad_() for x in (e, c))
    counted = HeldBytes(apart=(e, c, target))
    with counted.made():
        value = loss(e, c, target)
        forward, kept = counted.peak, counted.now
        counted.peak = kept
        gradients = torch.autograd.grad(value, (e, c))
    backward = counted.peak - kept
    found = {
        "forward": forward,
        "backward": backward,
        "both": max(forward, counted.peak),
        "kept": kept,
        "gradients": sum(x.untyped_storage().nbytes() for x in gradients),
    }
    return {name: value / MIB for name, value in found.items()}


@component("task", losses="classification")
class LossMemory(Study):
    """
    Raises:
        BadRequest: another loss than cross-entropy with a `head` that is cross-entropy itself.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        head: Literal["whole", "fused", "cut"] = "whole",
        tokens: Count = 8192,
        dim: Count = 2304,
        vocabulary: Count = 256_000,
        softcap: Positive | None = None,
        dtype: Literal["bfloat16", "float32"] = "bfloat16",
        rows: Count = 512,
        columns: Count = 256,
    ) -> None:
        super().__init__(bench)
        name = bench.values["loss"]["name"]
        if head != "whole" and name != "cross_entropy":
            said = f"task.head={head} is cross-entropy, so loss=cross_entropy"
            raise BadRequest(f"loss={name}: {said}")
        self.shapes = tokens, dim, vocabulary
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.loss: Loss = whole(bench.build("loss"), softcap)
        if head == "fused":
            self.loss = lambda e, c, target: fused(e, c, target, softcap)
        elif head == "cut":
            self.loss = lambda e, c, target: cut_cross_entropy(
                e, c, target, softcap=softcap, rows=rows, columns=columns
            )

    def measure(self) -> dict[str, dict[str, float]]:
        tokens, dim, vocabulary = self.shapes
        with torch.device("meta"):
            e = torch.empty(tokens, dim, dtype=self.dtype)
            c = torch.empty(vocabulary, dim, dtype=self.dtype)
            target = torch.empty(tokens, dtype=torch.long)
        return {"memory": held(self.loss, e, c, target)}
