"""Projection head of contrastive learning: an MLP from the features to the loss's space.

Papers: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations",
https://arxiv.org/abs/2002.05709, §2.1; Khosla et al., "Supervised Contrastive Learning",
https://arxiv.org/abs/2004.11362, §3.1.

    z = W_2 ReLU(W_1 h)        (`layers: 2`; 1 is linear, 3 has one more hidden layer)

The defaults are the head `mlp` of networks/resnet_big.py in
https://github.com/HobbitLong/SupContrast: hidden width that of the features, 128 outputs, biases.
`batch_norm` is SimCLR's head (`projection_head` of model_util.py in
https://github.com/google-research/simclr): batch norm after every linear layer, the last one too,
which has no offset. `relu` ends the head in a ReLU, for embeddings without a negative entry
(https://arxiv.org/abs/2306.07960). `activation: elu` is GRACE's head (GRACE/model.py of
https://github.com/VoidHaruhi/POT-GCL).

The output is not normalised: the losses do that. Shapes: [N, F] -> [N, dim].
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from ppr.fields import Count
from ppr.registry import component


@component("head", outputs="embedding")
class ProjectionHead(nn.Sequential):
    def __init__(
        self,
        features: int,
        classes: int,
        *,
        dim: Count = 128,
        hidden: Count | None = None,
        layers: Count = 2,
        batch_norm: bool = False,
        relu: bool = False,
        activation: Literal["relu", "elu"] = "relu",
    ) -> None:
        del classes
        super().__init__()
        width = features
        for _ in range(layers - 1):
            self.append(nn.Linear(width, hidden or features, bias=not batch_norm))
            width = hidden or features
            if batch_norm:
                self.append(nn.BatchNorm1d(width))
            self.append(nn.ReLU(inplace=True) if activation == "relu" else nn.ELU(inplace=True))
        self.append(nn.Linear(width, dim, bias=not batch_norm))
        if batch_norm:
            last = nn.BatchNorm1d(dim)
            last.register_parameter("bias", None)
            self.append(last)
        if relu:
            self.append(nn.ReLU())
