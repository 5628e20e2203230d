"""Provable training (POT): contrast of nodes, with each node's published compactness pushed up.

Yu, Wang, Zhang, Liu and Shi, "Provable Training for Graph Contrastive Learning", NeurIPS 2023,
arXiv:2309.13944. Of both views z, z' of N nodes, c the `published_score` (ppr/graphs/bounds.py) of
each in the direction of the other, with gradients through both:

    L = (1 - kappa) L_contrast + kappa L_POT,    L_POT = mean over views, nodes of -log sigmoid(c)

That score is called a lower bound of what follows the contrastive principle; it is none, and is
what the authors' code trains. kappa 0 is `contrast_nodes`.

Formula, budget and stages read in GRACE/train.py and GRACE/model.py (pot_loss) of
VoidHaruhi/POT-GCL at 19a3a5f. As there, scores use all features, whether or not a view hides some.

Raises BadRequest for a network that has not two layers, and as contrast_nodes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.engine.batches import Batch
from ppr.engine.bench import Bench
from ppr.fields import Fraction
from ppr.graphs.bounds import directions, entry_bounds, published_score
from ppr.registry import component
from ppr.tasks.contrast_nodes import ContrastNodes


@component("task")
class ProvableTraining(ContrastNodes):
    def __init__(self, bench: Bench, *, kappa: Fraction = 0.4, **shared: Any) -> None:
        super().__init__(bench, **shared)
        self.kappa = kappa
        self.encoder.two_layers()  # refuses other networks before any training

    def forward(self, inputs: Tensor) -> Tensor:
        """[2N, D + 1]: embeddings, and the score of each row."""
        features = self.encoded(inputs)
        embeddings = self.head(torch.cat(features))
        with self.encoder.full_precision():
            scores = self.scores(inputs, features)
        return torch.cat([embeddings, scores[:, None]], dim=1)

    def scores(self, inputs: Tensor, features: list[Tensor]) -> Tensor:
        encoder = self.encoder
        layers, clean = encoder.two_layers(), encoder.adjacency()
        found = []
        for view, rate, other in zip(inputs, self.drop_edges, reversed(features), strict=True):
            entries = entry_bounds(encoder.pattern, rate, encoder.nodes, clean)
            sampled = encoder.adjacency(view[: -encoder.width])
            found.append(published_score(layers, entries, clean, sampled, directions(other)))
        return torch.cat(found)

    def loss(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        contrast = super().loss(outputs[:, :-1], batch)["loss"]
        compact = F.softplus(-outputs[:, -1]).mean()
        total = (1 - self.kappa) * contrast + self.kappa * compact
        return {"loss": total, "contrast": contrast, "compactness": compact}
