"""Losses of outputs at many positions: tokens of texts, pixels of images, steps of series."""

from __future__ import annotations

from torch import Tensor

from ppr.losses._batch import widen


def checked(outputs: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Outputs [N, *S, C], at least in float32, and targets that fit them and their mask [N, *S].

    What stands where the mask is 0 is left out, not multiplied by 0: outputs that are not finite
    and targets that are no class (-100, as padding often is) are replaced there.

    Raises:
        ValueError: the shapes do not fit.
    """
    if outputs.dim() < 2 or targets.shape != outputs.shape[:-1]:
        shapes = f"{tuple(targets.shape)}: expected those of the outputs {tuple(outputs.shape)}"
        raise ValueError(f"targets {shapes} without the last, [N, *S]")
    if mask is not None and mask.shape != targets.shape:
        raise ValueError(f"mask {tuple(mask.shape)}: expected one a target, {tuple(targets.shape)}")
    wide = widen(outputs)
    if mask is None:
        return wide, targets
    unseen = ~mask.bool()
    no_class = (targets < 0) | (targets >= outputs.shape[-1])
    return wide.masked_fill(unseen.unsqueeze(-1), 0), targets.masked_fill(unseen & no_class, 0)


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of values [N, *S] over the positions of the mask; 0 where there are none."""
    if mask is None:
        return values.sum() / max(1, values.numel())
    weights = mask.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def negative_log_likelihood(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(outputs)[target], in nats: [N, *S, C], [N, *S] -> [N, *S]."""
    log_p = outputs.log_softmax(-1)
    return -log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
