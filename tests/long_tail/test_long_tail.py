"""Long-tailed training sets by the profile's formula, and what learns from them: LDAM, DRW."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from data_toy import refused
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import recall_score
from subjects import of_tensors

import ppr
from ppr.data.splits import flip_labels, hold_out, long_tail
from ppr.errors import BadRequest
from ppr.registry import describe, load

IMAGE_SETS = ("digits", "mnist", "cifar10", "cifar100")


@pytest.mark.parametrize(
    ("classes", "each", "imbalance"), [(10, 5000, 100), (10, 5000, 10), (100, 500, 100), (3, 8, 1)]
)
def test_class_sizes_fall_exponentially(classes: int, each: int, imbalance: float) -> None:
    targets = np.random.RandomState(0).permutation(np.repeat(np.arange(classes), each))
    kept = targets[long_tail(targets, imbalance, 0)]
    expected = [int(each * imbalance ** (-k / (classes - 1))) for k in range(classes)]
    assert np.bincount(kept).tolist() == expected
    assert expected[-1] == each / imbalance


def test_long_tailed_cifar10_has_the_sizes_of_the_papers() -> None:
    """Those that kaidic/LDAM-DRW, imbalance_cifar.py, computes: int(5000 * 0.01 ** (k / 9))."""
    targets = np.arange(50_000) % 10
    sizes = np.bincount(targets[long_tail(targets, 100, 0)])
    assert sizes.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@given(
    targets=st.lists(st.integers(0, 3), min_size=30, max_size=90),
    imbalance=st.floats(1, 4),
    seed=st.integers(0, 99),
)
def test_the_tail_is_as_long_as_the_classes_allow(
    targets: list[int], imbalance: float, seed: int
) -> None:
    found = Counter(targets)
    labels = sorted(found)
    shares = [imbalance ** (k / max(1, len(labels) - 1)) for k in range(len(labels))]
    first = min(found[label] * share for label, share in zip(labels, shares, strict=True))
    if first / shares[-1] < 1:
        return
    rows = long_tail(np.array(targets), imbalance, seed)
    assert (np.diff(rows) > 0).all()
    assert (rows == long_tail(np.array(targets), imbalance, seed)).all()
    sizes = Counter(targets[row] for row in rows)
    for label, share in zip(labels, shares, strict=True):
        assert sizes[label] <= found[label]
        assert abs(sizes[label] - first / share) <= 1


def test_a_steeper_tail_is_part_of_a_flatter_one_and_the_seed_draws_it() -> None:
    targets = np.arange(2000) % 10
    flat, steep, other = (
        long_tail(targets, 5, 0),
        long_tail(targets, 50, 0),
        long_tail(targets, 5, 1),
    )
    assert np.isin(steep, flat).all()
    assert len(flat) == len(other)
    assert not np.array_equal(flat, other)


def test_the_tail_may_have_another_order_of_the_classes() -> None:
    targets = np.arange(1000) % 10
    sizes = [
        np.bincount(targets[long_tail(targets, 20, 0, seed)]).tolist() for seed in (None, 0, 1)
    ]
    assert sizes[0] == sorted(sizes[0], reverse=True)
    assert sizes[0] != sizes[1] != sizes[2]
    assert sorted(sizes[0]) == sorted(sizes[1]) == sorted(sizes[2])


def test_the_tail_is_independent_of_the_split_of_the_same_seed() -> None:
    targets = np.arange(4000) % 10
    _, held = hold_out(targets, 2000, 0)
    rows = long_tail(targets, 10, 0)
    assert abs(np.isin(rows, held).mean() - 0.5) < 0.05


def test_only_the_training_part_has_the_tail() -> None:
    def load(**fields: float) -> Any:
        return ppr.build("dataset", "digits", None, **fields).load()

    whole, tail, other = load(), load(imbalance=20), load(imbalance=20, split_seed=1)
    largest = int((whole.train.targets == 0).sum())
    sizes = torch.bincount(tail.train.targets).tolist()
    assert sizes == [int(largest * 20 ** (-k / 9)) for k in range(10)]
    assert len({whole.digest, tail.digest, other.digest}) == 3
    assert tail.digest == load(imbalance=20).digest
    for part in ("validation", "test"):
        assert torch.equal(getattr(tail, part).targets, getattr(whole, part).targets)
    limited = load(imbalance=10, limit=500)
    assert torch.bincount(limited.train.targets)[0] == 50
    noisy = load(imbalance=20, noise=0.5)
    assert torch.equal(noisy.train.inputs, tail.train.inputs)


def test_a_class_without_an_example_is_refused() -> None:
    with refused(BadRequest, "dataset.imbalance=1000", "class 9", "digits"):
        ppr.build("dataset", "digits", None, imbalance=1000).load()
    with pytest.raises(BadRequest, match="imbalance"):
        ppr.build("dataset", "digits", None, imbalance=0.5)


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_every_small_image_set_has_the_fields_of_its_base(name: str) -> None:
    fields = describe("dataset", name).fields
    assert {"validation", "split_seed", "limit", "imbalance", "noise", "noise_to"} <= set(fields)
    source = ppr.build("dataset", name, None, imbalance=50, limit=100, noise=0.2)
    assert (source.imbalance, source.limit, source.noise) == (50, 100, 0.2)


def test_an_own_default_comes_before_that_of_the_base() -> None:
    own, base = describe("dataset", "digits").fields, describe("dataset", "cifar10").fields
    assert (own["validation"].default, base["validation"].default) == (297, 0)
    assert own["validation"].annotation == base["validation"].annotation == "Whole"


def test_noise_to_the_next_class() -> None:
    clean = np.repeat(np.arange(5), 200)
    noisy = flip_labels(clean, 5, 0.3, 0, "next")
    wrong = noisy != clean
    assert (noisy[wrong] == (clean[wrong] + 1) % 5).all()
    assert [int(wrong[clean == label].sum()) for label in range(5)] == [60] * 5
    assert (wrong == (flip_labels(clean, 5, 0.3, 0) != clean)).all()


# --- LDAM with deferred re-weighting


def test_deferred_weights_come_at_their_share_of_training() -> None:
    counts = torch.tensor([500, 50, 5])
    targets = torch.repeat_interleave(torch.arange(3), counts)
    loss = ppr.build("loss", "ldam", reweight="deferred", start=0.8, beta=0.99)
    loss.see(targets, 3)
    plain = torch.randn(6, 3).double(), torch.tensor([0, 1, 2, 0, 1, 2])
    before = loss(*plain)
    loss.advance(0.79)
    assert loss(*plain) == before
    loss.advance(0.8)
    expected = [(1 - 0.99) / (1 - 0.99**n) for n in counts.tolist()]
    np.testing.assert_allclose(loss.weights / loss.weights[0], np.array(expected) / expected[0])
    assert loss.weights.sum().item() == pytest.approx(3)
    always = ppr.build("loss", "ldam", reweight="always", beta=0.99)
    always.see(targets, 3)
    assert loss(*plain) == always(*plain) != before


def test_ldam_without_margin_is_torchs_weighted_cross_entropy() -> None:
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor([500, 50, 5]))
    loss = ppr.build("loss", "ldam", max_margin=0.0, scale=1.0, reweight="always")
    loss.see(targets, 3)
    logits, labels = torch.randn(8, 3).double(), torch.arange(8) % 3
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=loss.weights)
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(loss(logits, torch.eye(3)[labels]), expected)


def test_the_rarest_class_has_the_largest_margin() -> None:
    loss = ppr.build("loss", "ldam", max_margin=0.5)
    loss.see(torch.tensor([0] * 16 + [2]), 3)  # class 1 has no sample and counts as one with one
    np.testing.assert_allclose(loss.margins, [0.25, 0.5, 0.5])
    with pytest.raises(ValueError, match="call see"):
        ppr.build("loss", "ldam")(torch.randn(2, 3), torch.tensor([0, 1]))


@pytest.mark.parametrize("imbalance", [1.0, 7.0, 1000.0])
def test_margin_tradeoff_is_a_quarter_power(imbalance: float) -> None:
    for margins in ("bound", "loss"):
        study = load("task", "margin_tradeoff")(None, imbalance=imbalance, margins=margins)
        found = study.measure()
        assert found["theory"]["ratio"] == pytest.approx(imbalance**0.25)
        assert found["measured"]["ratio"] == pytest.approx(imbalance**0.25, rel=1e-4)


def test_cosine_head_knows_directions_only() -> None:
    head = ppr.build("head", "cosine", 6, 4)
    features = torch.randn(5, 6)
    expected = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(3 * features), head(features))


def test_classwise_accuracy_is_sklearns_recall() -> None:
    random = torch.Generator().manual_seed(0)
    train = torch.randn(60, 5), torch.tensor([0] * 20 + [1] * 4 + [2] * 20 + [3] * 6 + [4] * 10)
    test = 2 * torch.randn(200, 5, generator=random), torch.arange(200) % 4  # none of class 4
    test[0][torch.arange(200), test[1]] += 1.5
    found = ppr.build("evaluator", "classwise_accuracy")(of_tensors(train, test))
    predicted = test[0].argmax(1)
    recalls = recall_score(test[1], predicted, labels=[0, 1, 2, 3], average=None)
    assert found["balanced"] == pytest.approx(recalls.mean())
    assert found["worst"] == pytest.approx(recalls.min())
    assert found["tail"] == pytest.approx(recalls[[1, 3]].mean())
    assert found["head"] == pytest.approx(recalls[[0, 2]].mean())
