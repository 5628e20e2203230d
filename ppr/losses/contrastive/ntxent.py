"""NT-Xent, SimCLR's normalised temperature-scaled cross-entropy: finds a sample's other view.

Paper: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML
2020, arXiv:2002.05709. For a positive pair (i, j), two views of one sample, among all 2N views:

    l(i, j) = -log( e^{sim(z_i, z_j)/t} / sum_{k != i} e^{sim(z_i, z_k)/t} )                     (1)

with sim the cosine; the loss is the mean over all positive pairs, (i, j) and (j, i) both. That is
SupCon's L_out (supcon.py) with every sample its own class, and is computed as such; so it takes any
number of views.

Shapes: embeddings [N, V, D], or [N, D] which holds no pair and gives 0; labels are ignored, taken
only so that a task can call any loss of the family alike. Embeddings are L2-normalised here, half
precision is computed in float32. An empty batch gives 0 with a gradient of 0.

`base_temperature` multiplies the loss by temperature / base_temperature, see supcon.py: the
learning rates of SupContrast's SimCLR recipe assume 0.07.

Raises ValueError for embeddings of another rank.
"""

from __future__ import annotations

from torch import Tensor, nn

from ppr.fields import Positive
from ppr.losses.contrastive.supcon import supcon
from ppr.registry import component


@component("loss", family="contrastive")
class NTXentLoss(nn.Module):
    def __init__(
        self, *, temperature: Positive = 0.5, base_temperature: Positive | None = None
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.base_temperature = base_temperature

    def forward(self, embeddings: Tensor, labels: Tensor | None = None) -> Tensor:
        del labels
        return supcon(
            embeddings, temperature=self.temperature, base_temperature=self.base_temperature
        )
