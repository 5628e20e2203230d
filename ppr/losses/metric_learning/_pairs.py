"""What losses over pairs of a batch share: cosines of all pairs, and which pairs are alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ppr.losses._batch import in_full_precision, normalised_views


def cosine_pairs(embeddings: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines [M, M] of the views of a batch, and masks of its positive and negative pairs.

    A row is an anchor; the pair of a view with itself is in neither mask. A row without a positive
    or without a negative is false throughout both: it has nothing to compare.
    """
    z, ids, _ = normalised_views(embeddings, labels)
    cosines = in_full_precision(lambda z: z @ z.T, z)
    return cosines, *pair_masks(ids)


def views_as_rows(embeddings: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Embeddings [N, V, D] or [N, D] as rows [N*V, D] as they are, and their class ids.

    Raises:
        ValueError: as `normalised_views`.
    """
    _, ids, _ = normalised_views(embeddings.detach(), labels)
    return embeddings.flatten(0, -2), ids


def pair_masks(ids: Tensor) -> tuple[Tensor, Tensor]:
    """The masks [M, M] of `cosine_pairs` for views of these classes."""
    same = ids[:, None] == ids
    positive, negative = same & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device), ~same
    both = positive.any(1, keepdim=True) & negative.any(1, keepdim=True)
    return positive & both, negative & both


def lowest(values: Tensor, mask: Tensor) -> Tensor:
    """The smallest masked entry of each row [M, M], infinite where there is none."""
    # One more column, for the minimum over the rows of an empty batch.
    return F.pad(values.masked_fill(~mask, torch.inf), (0, 1), value=torch.inf).amin(1)
