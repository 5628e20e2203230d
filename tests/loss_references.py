"""Losses as loops over the papers' sums, in Python floats: slow, and nothing shared with ppr."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def _unit(a: Sequence[float]) -> list[float]:
    norm = math.sqrt(_dot(a, a))
    return [x / norm for x in a]


def supcon(
    embeddings: Sequence[Rows],
    labels: Sequence[int] | None,
    *,
    temperature: float = 0.1,
    variant: str = "out",
    base_temperature: float | None = None,
) -> float:
    """arXiv:2004.11362, equations 2 ("out") and 3 ("in"), as a mean over all anchors."""
    views = [
        (_unit(view), sample if labels is None else labels[sample])
        for sample, row in enumerate(embeddings)
        for view in row
    ]
    total = 0.0
    for i, (z_i, y_i) in enumerate(views):
        e = {a: math.exp(_dot(z_i, z) / temperature) for a, (z, _) in enumerate(views) if a != i}
        positives = [p for p in e if views[p][1] == y_i]
        if not positives:
            continue
        shares = [e[p] / sum(e.values()) for p in positives]
        if variant == "out":
            total += -sum(math.log(share) for share in shares) / len(positives)
        else:
            total += -math.log(sum(shares) / len(positives))
    scale = 1 if base_temperature is None else temperature / base_temperature
    return scale * total / max(1, len(views))


def ntxent(
    embeddings: Sequence[Rows],
    labels: object,
    *,
    temperature: float = 0.5,
    base_temperature: float | None = None,
) -> float:
    """arXiv:2002.05709, equation 1, averaged over every ordered pair of views of one sample."""
    del labels
    views = [(sample, _unit(view)) for sample, row in enumerate(embeddings) for view in row]
    terms = []
    for i, (sample_i, z_i) in enumerate(views):
        for j, (sample_j, z_j) in enumerate(views):
            if i != j and sample_i == sample_j:
                others = (z_k for k, (_, z_k) in enumerate(views) if k != i)
                partition = sum(math.exp(_dot(z_i, z_k) / temperature) for z_k in others)
                terms.append(-math.log(math.exp(_dot(z_i, z_j) / temperature) / partition))
    scale = 1 if base_temperature is None else temperature / base_temperature
    return scale * sum(terms) / max(1, len(terms))


def supcl(
    embeddings: Sequence[Rows],
    labels: Sequence[int] | None,
    *,
    alpha: float = 0.5,
    temperature: float = 0.1,
) -> float:
    """arXiv:2503.08203: means over pairs of views, of one sample (self included) and of a class."""
    views = [(sample, _unit(view)) for sample, row in enumerate(embeddings) for view in row]
    own, other = [], []
    for sample_i, z_i in views:
        partition = math.fsum(math.exp(_dot(z_i, z) / temperature) for _, z in views)
        for sample_j, z_j in views:
            term = math.log(partition) - _dot(z_i, z_j) / temperature
            if sample_i == sample_j:
                own.append(term)
            elif labels is not None and labels[sample_i] == labels[sample_j]:
                other.append(term)
    means = [sum(terms) / max(1, len(terms)) for terms in (other, own)]
    return (1 - alpha) * means[0] + alpha * means[1]


def _cosines(a: Rows, b: Rows) -> list[list[float]]:
    return [[_dot(_unit(x), _unit(y)) for y in b] for x in a]


def infonce(a: Rows, b: Rows, *, temperature: float = 0.07) -> float:
    """arXiv:2103.00020, figure 3: the mean cross-entropy of rows and of columns."""
    s = [[value / temperature for value in row] for row in _cosines(a, b)]
    total = 0.0
    for i, row in enumerate(s):
        column = [other[i] for other in s]
        for line in (row, column):
            highest = max(line)
            partition = math.fsum(math.exp(value - highest) for value in line)
            total += highest + math.log(partition) - row[i]
    return total / max(1, 2 * len(s))


def siglip(
    a: Rows, b: Rows, *, temperature: float = 10.0, bias: float = -10.0, learnable: bool = False
) -> float:
    """arXiv:2303.15343, algorithm 1."""
    del learnable
    s = _cosines(a, b)
    signs = {True: 1, False: -1}
    terms = [
        math.log1p(math.exp(-signs[i == j] * (temperature * value + bias)))
        for i, row in enumerate(s)
        for j, value in enumerate(row)
    ]
    return math.fsum(terms) / max(1, len(s))


def vrn(
    a: Rows, b: Rows, *, samples: int = 50000, weight: float = 30.0, temperature: float = 0.2
) -> float:
    """Mean squared distance of the unmatched cosines from -1/samples, added to InfoNCE."""
    s = _cosines(a, b)
    away = [(x + 1 / samples) ** 2 for i, row in enumerate(s) for j, x in enumerate(row) if i != j]
    term = math.fsum(away) / max(1, len(away))
    return infonce(a, b, temperature=temperature) + weight * term


def cross_entropy(
    logits: Rows, target: Sequence[int] | Rows, *, label_smoothing: float = 0.0
) -> float:
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        classes = len(x)
        q = [float(k == t) for k in range(classes)] if isinstance(t, int) else t
        q = [(1 - label_smoothing) * share + label_smoothing / classes for share in q]
        partition = sum(math.exp(value) for value in x)
        total -= sum(
            share * math.log(math.exp(value) / partition) for share, value in zip(q, x, strict=True)
        )
    return total / max(1, len(logits))


def _softmax(x: Sequence[float]) -> list[float]:
    partition = sum(math.exp(value) for value in x)
    return [math.exp(value) / partition for value in x]


def focal(
    logits: Rows,
    target: Sequence[int],
    *,
    gamma: float = 2.0,
    alpha: float | None = 0.25,
    per: str = "sample",
) -> float:
    """arXiv:1708.02002, equation 5, with class 0 for the background."""
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        p_t = _softmax(x)[t]
        weight = 1.0 if alpha is None else alpha if t > 0 else 1 - alpha
        total += -weight * (1 - p_t) ** gamma * math.log(p_t)
    count = len(logits) if per == "sample" else sum(t > 0 for t in target)
    return total / max(1, count)


def ohem(logits: Rows, target: Sequence[int], *, keep: float = 0.25, per: str = "sample") -> float:
    losses = [-math.log(_softmax(x)[t]) for x, t in zip(logits, target, strict=True)]
    kept = sorted(losses, reverse=True)[: math.ceil(keep * len(losses))]
    count = len(kept) if per == "sample" else sum(t > 0 for t in target)
    return sum(kept) / max(1, count)


def gce(logits: Rows, target: Sequence[int], *, q: float = 0.7) -> float:
    """arXiv:1805.07836, the L_q loss."""
    terms = [(1 - _softmax(x)[t] ** q) / q for x, t in zip(logits, target, strict=True)]
    return sum(terms) / max(1, len(terms))


def apl(
    logits: Rows,
    target: Sequence[int],
    *,
    active: str | None = "nce",
    passive: str | None = "rce",
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.5,
) -> float:
    """arXiv:2006.13554; reverse cross-entropy as a sum over classes, log 0 being log 1e-4."""
    total = 0.0
    for x, t in zip(logits, target, strict=True):
        p = _softmax(x)
        if active == "nce":
            each = [-math.log(share) for share in p]
            total += alpha * each[t] / sum(each)
        elif active == "nfl":
            each = [-((1 - share) ** gamma) * math.log(share) for share in p]
            total += alpha * each[t] / sum(each)
        if passive == "mae":
            total += beta * (1 - p[t])
        elif passive == "rce":
            labels = [1.0 if k == t else 1e-4 for k in range(len(p))]
            total += beta * -sum(a * math.log(b) for a, b in zip(p, labels, strict=True))
    return total / max(1, len(logits))
