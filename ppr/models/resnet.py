"""ResNet-18, -34, -50 for 32x32 (`stem: cifar`) or 224x224 images (`stem: imagenet`).

Paper: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
https://arxiv.org/abs/1512.03385, table 1.

    y = ReLU(F(x, W) + x)                                                            (eq. 1)
    y = ReLU(F(x, W) + W_s x)        where the shape changes, W_s a 1x1 convolution  (eq. 2)

The blocks are torchvision's. The stem `cifar` (3x3 convolution of stride 1, no max-pooling) is the
one of networks/resnet_big.py in https://github.com/HobbitLong/SupContrast, which has the same
blocks, stride on the 3x3 convolution of a bottleneck, and He initialisation (fan out).
`zero_init_residual` starts each residual branch at zero: https://arxiv.org/abs/1706.02677.

Shapes: [N, C, H, W] -> [N, 512] (depth 18, 34) or [N, 2048] (depth 50).
"""

from __future__ import annotations

from typing import Literal

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from ppr.registry import component

BLOCKS = {
    18: (BasicBlock, [2, 2, 2, 2]),
    34: (BasicBlock, [3, 4, 6, 3]),
    50: (Bottleneck, [3, 4, 6, 3]),
}
"""The kind of block and the number of them in each stage: table 1 of the paper."""


@component("model", inputs="image", features="sample")
def resnet(
    shape: tuple[int, ...],
    *,
    depth: Literal[18, 34, 50] = 50,
    stem: Literal["cifar", "imagenet"] = "cifar",
    zero_init_residual: bool = False,
) -> nn.Module:
    body = ResNet(*BLOCKS[depth], zero_init_residual=zero_init_residual)
    size, stride = (3, 1) if stem == "cifar" else (7, 2)
    body.conv1 = nn.Conv2d(shape[0], 64, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    if stem == "cifar":
        body.maxpool = nn.Identity()
    body.features = body.fc.in_features
    body.fc = nn.Identity()
    model: nn.Module = body
    return model
