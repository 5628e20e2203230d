"""The 8-layer CNN of noisy-label papers: six convolutions and a hidden linear layer, less the last.

`ToyModel` of HanxunH/Active-Passive-Losses (models.py at 04bce53), with which Ma et al.,
"Normalized Loss Functions for Deep Learning with Noisy Labels", arXiv:2006.13554, train on
CIFAR-10: three stages of two 3x3 convolutions (batch norm, ReLU) and a 2x2 max pool; then linear,
batch norm, ReLU; the last layer is the head's. Convolutions start as He et al.'s uniform (fan in),
linear layers as Glorot's.

Shapes: [N, C, H, W] -> [N, hidden], H and W multiples of 8.

Raises BadRequest for another size.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.errors import BadRequest
from ppr.fields import Count
from ppr.registry import component

WIDTHS = (64, 128, 196)


@component("model", inputs="image", features="sample")
class APLCNN(nn.Module):
    features: int

    def __init__(self, shape: tuple[int, ...], *, hidden: Count = 256) -> None:
        super().__init__()
        if len(shape) != 3 or any(side == 0 or side % 8 for side in shape[1:]):
            raise BadRequest(f"model apl_cnn: sides must be multiples of 8, not of shape {shape}")
        channels, height, width = shape
        layers: list[nn.Module] = []
        for stage in WIDTHS:
            for _ in range(2):
                layers += [
                    nn.Conv2d(channels, stage, 3, padding=1),
                    nn.BatchNorm2d(stage),
                    nn.ReLU(),
                ]
                channels = stage
            layers.append(nn.MaxPool2d(2))
        flat = channels * (height // 8) * (width // 8)
        layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.features = hidden
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers(images)
        return features
