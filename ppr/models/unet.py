"""U-Net: features at every pixel, from coarse to fine and back with the fine ones joined in.

Paper: Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
Segmentation", MICCAI 2015, arXiv:1505.04597. At each level two 3x3 convolutions; 2x2 max pooling
on the way down; on the way up nearest-neighbour upsampling joined with the features of that level.
Unlike there, convolutions are padded and batch-normalised, so that the output has the input's size.

Shapes: [N, C, H, W] -> [N, H, W, widths[0]], features last, for a linear head at every pixel.

Raises BadRequest for inputs that are no images, or cannot be halved as often as there are levels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component


@component("model", inputs="image", features="position")
class UNet(nn.Module):
    """`widths` are the channels of each level, the finest first."""

    features: int

    def __init__(self, shape: tuple[int, ...], *, widths: list[Count]) -> None:
        super().__init__()
        if not widths:
            raise BadRequest("model.widths=[]: must have at least one width, as in [8, 16, 32]")
        step = 2 ** (len(widths) - 1)
        if len(shape) != 3 or shape[1] % step or shape[2] % step:
            what = f"needs images whose sides divide by {step}, not inputs of {tuple(shape)}"
            raise BadRequest(f"model.widths={list(widths)}: {what}")
        self.features = widths[0]
        before = [shape[0], *widths[:-1]]
        self.down = nn.ModuleList(map(_level, before, widths))
        joined = [fine + coarse for fine, coarse in pairwise(widths)]
        self.up = nn.ModuleList(map(_level, joined, widths))

    def forward(self, images: Tensor) -> Tensor:
        levels = []
        x = images
        for number, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if number else x)
            levels.append(x)
        for fine, level in zip(levels[-2::-1], reversed(self.up), strict=True):
            x = level(torch.cat([fine, F.interpolate(x, scale_factor=2.0)], dim=1))
        return x.movedim(1, -1)


def _level(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        # A bias before batch norm is cancelled by its mean.
        layers += [nn.Conv2d(width, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
