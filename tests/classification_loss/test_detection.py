"""Average precision and easy negatives against scikit-learn and a loop."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import average_precision_score
from subjects import build, of_tensors

from ppr.engine.subject import Subject
from ppr.errors import BadRequest


def detector(seed: int, samples: int = 300, imbalance: int = 20) -> Subject:
    """Logits of a background, 0, and two kinds of foreground, some of them confident."""
    random = torch.Generator().manual_seed(seed)
    target = (torch.arange(samples) % imbalance == 0) * (1 + torch.arange(samples) % 2)
    logits = 2 * torch.randn(samples, 3, generator=random) + torch.tensor([3.0, 0.0, 0.0])
    logits[torch.arange(samples), target] += 1.5
    return of_tensors((logits, target), (logits, target))


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_sklearns_of_any_foreground(seed: int) -> None:
    subject = detector(seed)
    logits, target = subject.logits("test")
    scores = torch.logsumexp(logits[:, 1:].double(), 1) - logits[:, 0]
    expected = average_precision_score((target > 0).numpy(), scores.numpy())
    assert build("average_precision")(subject)["ap"] == pytest.approx(expected, abs=1e-6)


def test_average_precision_is_its_sum() -> None:
    """Ranked foreground, background, foreground: 1/2 at precision 1, 1/2 at precision 2/3."""
    logits = torch.tensor([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
    subject = of_tensors((logits, torch.tensor([1, 0, 1, 0])), (logits, torch.tensor([1, 0, 1, 0])))
    assert build("average_precision")(subject)["ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_easy_negatives_are_a_loop_over_the_background(threshold: float, gamma: float) -> None:
    subject = detector(1)
    logits, target = subject.logits("test")
    lost = {"share_ce": [0.0, 0.0], "share_focal": [0.0, 0.0]}
    easy = background = 0
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        if label == 0:
            p = math.exp(row[0]) / sum(math.exp(value) for value in row)
            background += 1
            easy += p > threshold
            for name, weight in (("share_ce", 1.0), ("share_focal", (1 - p) ** gamma)):
                lost[name][0] += -weight * math.log(p) * (p > threshold)
                lost[name][1] += -weight * math.log(p)
    expected = {name: part / whole for name, (part, whole) in lost.items()}
    found = build("easy_negatives", threshold=threshold, gamma=gamma)(subject)
    assert 0 < expected["share_focal"] < 1
    assert found == pytest.approx(expected | {"easy": easy / background}, rel=1e-6)


def test_detection_needs_both_sides() -> None:
    logits = torch.zeros(4, 2)
    train = logits, torch.tensor([0, 1, 0, 1])
    for name, label in (("average_precision", 0), ("easy_negatives", 1)):
        subject = of_tensors(train, (logits, torch.full((4,), label)))
        with pytest.raises(BadRequest, match=f"evaluator.{name}: the test split has no"):
            build(name)(subject)
