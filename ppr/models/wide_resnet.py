"""Wide ResNet for 32x32 images: WRN-d-k has d layers, k times the width of a ResNet's.

Paper: Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016, https://arxiv.org/abs/1605.07146,
table 1, figure 1(c, d).

    x_{l+1} = x_l + conv(ReLU(BN(conv(ReLU(BN(x_l))))))          of 3x3, dropout between (eq. 1)

Three stages of n = (d - 4) / 6 such blocks, of 16 k, 32 k and 64 k channels on 32x32, 16x16 and 8x8
pixels, after a 3x3 convolution to 16. Where the width changes, the shortcut is a 1x1 convolution of
the normalised input, as in models/wide-resnet.lua of szagoruyko/wide-residual-networks.

Shapes: [N, C, H, W] -> [N, 64 k].

Raises:
    BadRequest: the depth is not 6 n + 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ppr.errors import BadRequest
from ppr.fields import Count, Fraction
from ppr.registry import component


class Block(nn.Module):
    """Pre-activated: [N, width_in, H, W] -> [N, width_out, H / stride, W / stride]."""

    def __init__(self, width_in: int, width_out: int, stride: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.norm1 = nn.BatchNorm2d(width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.shortcut = None
        if width_in != width_out:
            self.shortcut = nn.Conv2d(width_in, width_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm1(x))
        through = torch.relu(self.norm2(self.conv1(active)))
        through = self.conv2(dropout(through, self.rate, self.training))
        total: Tensor = through + (x if self.shortcut is None else self.shortcut(active))
        return total


@component("model", inputs="image", features="sample")
class WideResNet(nn.Module):
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        depth: Count = 28,
        widening: Count = 10,
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise BadRequest(f"model.depth={depth}: must be 6 n + 4; 10, 16, 22, 28, 34, 40, …")
        self.features = 64 * widening
        layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
        width = 16
        for stage in range(3):
            wider = 16 * widening * 2**stage
            for block in range((depth - 4) // 6):
                stride = 2 if stage and not block else 1
                layers.append(Block(width, wider, stride, dropout))
                width = wider
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(width), nn.ReLU())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.body(x).mean((2, 3))
        return pooled
