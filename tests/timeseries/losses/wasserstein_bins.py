"""The loss `wasserstein_bins` by its definition; for power 1 SciPy's transport on a line."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import wasserstein_distance

from tests.losses.vectors import Rows, softmax

VARIATIONS = ({}, {"power": 2.0, "reach": 1.0})


def reference(
    outputs: Sequence[Rows],
    targets: Sequence[Sequence[int]],
    mask: Sequence[Sequence[bool]],
    *,
    power: float = 1.0,
    reach: float = 4.0,
) -> float:
    terms = []
    for text, bins, counts in zip(outputs, targets, mask, strict=True):
        for z, y, count in zip(text, bins, counts, strict=True):
            if not count:
                continue
            p, size = softmax(z), len(z)
            centres = [-reach + (2 * i + 1) * reach / size for i in range(size)]
            if power == 1.0:
                terms.append(wasserstein_distance(centres, [centres[y]], p))
            else:
                pairs = zip(p, centres, strict=True)
                terms.append(sum(share * abs(c - centres[y]) ** power for share, c in pairs))
    return sum(terms) / max(1, len(terms))
