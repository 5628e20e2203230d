"""Batch normalisation over the batch of all devices.

torch.nn.SyncBatchNorm is that on CUDA and refuses tensors elsewhere; `SyncBatchNorm` here is the
same in plain, differentiable operations for any device. Per channel, over the n values of each of
W devices (every device has as many):

    mean = 1/W sum_w mean_w       var = 1/W sum_w mean((x_w - mean)^2)
    y = (x - mean) / sqrt(var + eps) * weight + bias

so outputs, gradients and running statistics (of the unbiased variance, W n / (W n - 1) var) are
those of torch.nn.BatchNorm on the whole batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# The common base of BatchNorm1d to 3d, which torch exports under no public name.
from torch.nn.modules.batchnorm import _BatchNorm

from ppr.engine.distributed import all_sum, size


class SyncBatchNorm(_BatchNorm):
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        over = [dim for dim in range(x.dim()) if dim != 1]
        channel = [-1 if dim == 1 else 1 for dim in range(x.dim())]
        mean = all_sum(x.mean(over)) / size()
        centred = x - mean.view(channel)
        variance = all_sum(centred.square().mean(over)) / size()
        self._track(mean, variance, size() * x.numel() // x.shape[1])
        y = centred * (variance + self.eps).rsqrt().view(channel)
        if self.weight is not None:
            y = y * self.weight.view(channel)
        if self.bias is not None:  # heads leave it out
            y = y + self.bias.view(channel)
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:  # the mean of all batches so far
            momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        unbiased = variance * (count / max(count - 1, 1))
        self.running_var.lerp_(unbiased.to(self.running_var), momentum)


def synchronise_batchnorm(module: nn.Module, device: torch.device) -> None:
    """Replace the batch normalisations in `module`, which keep their parameters and buffers."""
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
            setattr(module, name, _replaced(child, device))
        else:
            synchronise_batchnorm(child, device)


def _replaced(norm: Any, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    made = SyncBatchNorm(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    made._parameters, made._buffers = norm._parameters, norm._buffers
    made.training = norm.training
    return made
