"""A plain convolutional network of a few thousand parameters, for desk-scale runs on a CPU.

    [average pooling of the image,]  then a stage each:  3x3 convolution, batch norm, ReLU, max pool

with `channels` in the stages. The features are the mean over what is left of the image, or, with
`places`, what is left as it stands, which tells shapes apart by where their parts are. Without
skips or width it over-fits a few thousand images within seconds, as a large network does many. It
is not a model of any paper.

Shapes: [N, C, H, W] -> [N, channels[-1]], or, with `places`, that times the pixels left; H and W
are at least shrink * 2^len(channels).
"""

from __future__ import annotations

import math

from torch import nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component


@component("model", inputs="image", features="sample")
class SmallCNN(nn.Sequential):
    """
    Raises:
        BadRequest: the image is too small for so many stages, or there is none.
    """

    features: int

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        channels: list[Count],
        shrink: Count = 1,
        places: bool = False,
    ) -> None:
        if not channels:
            raise BadRequest("model.channels=[]: must have at least one stage, as in [16, 32, 64]")
        width, *size = shape
        if min(size) < shrink * 2 ** len(channels):
            what = f"each halves the image, which has {' x '.join(map(str, size))} pixels"
            raise BadRequest(f"model.channels={channels}: {what} and is first shrunk by {shrink}")
        super().__init__()
        if shrink > 1:
            self.append(nn.AvgPool2d(shrink))
        for wider in channels:
            self.append(nn.Conv2d(width, wider, 3, padding=1, bias=False))
            self.extend([nn.BatchNorm2d(wider), nn.ReLU(inplace=True), nn.MaxPool2d(2)])
            width = wider
        if not places:
            self.append(nn.AdaptiveAvgPool2d(1))
        self.append(nn.Flatten())
        left = math.prod(side // shrink // 2 ** len(channels) for side in size)
        self.features = width * left if places else width
