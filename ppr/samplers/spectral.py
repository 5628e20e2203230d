"""Batches of pairs that would lose much together: balanced spectral clusters of the embeddings.

Cho et al., "Mini-Batch Optimization of Contrastive Loss", arXiv:2307.05906, and the authors' code
(krafton-ai/mini-batch-cl, utils.py: sc_even_kb_loose, custom_affinity). At the beginning of an
epoch all pairs (u_i, v_i) are embedded and put in a random order. Each `together` batches of it are
drawn anew, as that many clusters of B of the graph whose edges are what two pairs would lose in one
batch, with cosines over the temperature:

    w(k,l) = sum over (i,j) in {(k,l), (l,k)} of
        log(1+(B-1) e^{u_i.v_j - u_i.v_i}) + log(1+(B-1) e^{v_i.u_j - u_i.v_i})

Affinity e^w, spectral embedding, k-means, and equal sizes by linear assignment to the centres
repeated B times. What does not fill `together` batches is left out of the epoch, as there.

The temperature is that of the loss; the README's command has 0.1 and clusters 40 batches at a time.
There the encoder embeds in training mode, here as in an evaluation.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.manifold import spectral_embedding
from torch import Tensor
from torch.nn import functional as F

from ppr.fields import Count, Positive
from ppr.registry import component


@component("sampler")
class Spectral:
    def __init__(self, *, together: Count = 40, temperature: Positive = 0.1) -> None:
        self.together = together
        self.temperature = temperature

    def steps(self, samples: int, batch_size: int) -> int:
        batches = samples // batch_size
        return batches - batches % min(self.together, batches)

    def choose(self, pairs: Tensor, batch_size: int, random: torch.Generator) -> Tensor:
        """Sample numbers [steps, batch_size] by the embeddings [N, 2, D] of all."""
        u, v = F.normalize(pairs.cpu().double(), dim=2).unbind(1)
        used = self.steps(len(pairs), batch_size) * batch_size
        order = torch.randperm(len(pairs), generator=random)[:used]
        chosen = []
        together = min(self.together, len(pairs) // batch_size) * batch_size
        for rows in torch.split(order, together):
            seed = int(torch.randint(2**31, (), generator=random))
            cosines = u[rows] @ v[rows].T
            chosen.append(rows[spectral_batches(cosines / self.temperature, batch_size, seed)])
        return torch.cat(chosen)


def spectral_batches(logits: Tensor, batch: int, seed: int) -> Tensor:
    """Equal clusters [N/B, B] of pairs that would lose much in one batch; logits [N, N]."""
    s = logits.cpu().numpy()
    clusters = len(s) // batch
    if clusters == 1:
        return torch.arange(len(s))[None]
    matched = np.diag(s)[:, None]
    loss = np.log1p((batch - 1) * np.exp(s - matched)) + np.log1p(
        (batch - 1) * np.exp(s.T - matched)
    )
    nodes = spectral_embedding(
        np.exp(loss + loss.T),
        n_components=clusters,
        eigen_solver="arpack",
        random_state=seed,
        drop_first=False,
    )
    centres = KMeans(clusters, n_init=1, random_state=seed).fit(nodes).cluster_centers_
    _, places = linear_sum_assignment(cdist(nodes, np.repeat(centres, batch, axis=0)))
    return torch.from_numpy(np.argsort(places // batch, kind="stable")).view(clusters, batch)
