"""What the references of pair losses share: the views of a batch, and who is compared with whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.losses.vectors import Rows


def views_of(embeddings: Sequence[Rows], labels: Sequence[int]) -> list[tuple[list[float], int]]:
    return [(list(view), y) for row, y in zip(embeddings, labels, strict=True) for view in row]


def anchors(
    views: Sequence[tuple[list[float], int]],
) -> Iterator[tuple[int, list[int], list[int]]]:
    """Each view that has a positive and a negative, with the numbers of all of them."""
    for i, (_, y) in enumerate(views):
        positives = [k for k, (_, other) in enumerate(views) if other == y and k != i]
        negatives = [k for k, (_, other) in enumerate(views) if other != y]
        if positives and negatives:
            yield i, positives, negatives
