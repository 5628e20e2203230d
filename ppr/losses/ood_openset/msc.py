"""Mean-shifted contrastive loss, MSC: views are compared as seen from the mean of the features.

Paper: Reiss, Hoshen, "Mean-Shifted Contrastive Loss for Anomaly Detection", AAAI 2023,
arXiv:2106.03844. With phi the L2-normalised feature, c the mean of those of the training samples
before training, and theta = (phi - c) / ||phi - c||, over the 2 B views of a batch,

    L = mean_i -log( e^{theta_i . theta_i' / t} / sum_{k != i} e^{theta_i . theta_k / t} )

i' the other view of i's sample: NT-Xent around c. `angular` also scales c to length 1, and adds for
each view the mean squared distance ||phi - c||^2 (the angular-centre loss).

Formula, t = 0.25 and that c is not scaled without `angular` compared with main.py of
talreiss/Mean-Shifted-Anomaly-Detection at 2276936. The task hands over the features that c is the
mean of, in `centre_on`; before, c = 0, which is NT-Xent.

Shapes: embeddings [N, V, D], labels ignored. Embeddings are L2-normalised here; half precision is
computed in float32. An empty batch gives 0.

Raises ValueError for embeddings of another rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ppr.fields import Positive
from ppr.losses._batch import normalised_views
from ppr.losses.contrastive.supcon import supcon
from ppr.registry import component


@component("loss", family="contrastive")
class MSCLoss(nn.Module):
    centre: Tensor

    def __init__(self, *, temperature: Positive = 0.25, angular: bool = False) -> None:
        super().__init__()
        self.temperature, self.angular = temperature, angular
        self.register_buffer("centre", torch.zeros(1))

    def centre_on(self, features: Tensor) -> None:
        """Take the centre from features [N, D] of the training samples."""
        centre = F.normalize(features.float()).mean(0)
        self.centre = F.normalize(centre, dim=0) if self.angular else centre

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        rows, _, _ = normalised_views(embeddings, None)
        shifted = rows - self.centre.to(rows.dtype)
        loss = supcon(shifted.view(embeddings.shape), temperature=self.temperature)
        if self.angular:
            views = embeddings.shape[1] if embeddings.dim() == 3 else 1
            loss = loss + views * shifted.square().sum() / max(1, len(shifted))
        return loss
