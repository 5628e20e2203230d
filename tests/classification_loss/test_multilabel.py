"""Several labels a sample: the scenes, mean average precision, the asymmetric loss by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from subjects import of_tensors

import ppr
from ppr.data.dataset import Split
from ppr.data.vision.digit_labels import DigitLabels
from ppr.engine.batches import Batches
from ppr.engine.stacked import StackedBatches


def load(**fields: float) -> Any:
    small = {"train": 300, "validation": 60, "test": 80}
    return ppr.build("dataset", "digit_labels", None, **{**small, **fields}).load()


def test_scenes_are_maxima_of_turned_digits() -> None:
    """Every label of a scene is one of a digit that fits under it, in that turn."""
    data = load(train=40)
    digits: Any = ppr.build("dataset", "digits", None).load().train
    images, classes = digits.inputs[:, 0].numpy(), digits.targets.numpy()
    for scene, labels in zip(data.train.inputs[:, 0].numpy(), data.train.targets, strict=True):
        covered = np.zeros_like(scene)
        for label in labels.nonzero()[:, 0].tolist():
            digit, turn = divmod(label, 4)
            candidates = np.stack([np.rot90(i, turn) for i in images[classes == digit]])
            under = candidates[(candidates <= scene).all((1, 2))]
            assert len(under)
            covered = np.maximum(covered, under.max(0))
        assert (covered == scene).all()


def test_scenes_have_the_shapes_shares_and_seeds_asked_for() -> None:
    data = load()
    assert data.train.inputs.shape == (300, 1, 8, 8)
    assert data.train.inputs.dtype == torch.uint8
    counts = data.train.targets.sum(1)
    assert data.train.targets.shape == (300, 40)
    assert set(counts.tolist()) == {1.0, 2.0, 3.0}
    assert counts.mean().item() == pytest.approx(2, abs=0.15)
    assert data.digest == load().digest != load(split_seed=1).digest
    assert load(validation=0).validation is None


def test_dropped_positives_are_of_the_training_part_only() -> None:
    whole, partial = load(), load(dropped=0.3)
    assert torch.equal(whole.train.inputs, partial.train.inputs)
    assert (partial.train.targets <= whole.train.targets).all()
    kept = partial.train.targets.sum() / whole.train.targets.sum()
    assert kept.item() == pytest.approx(0.7, abs=1e-3)
    for part in ("validation", "test"):
        assert torch.equal(getattr(whole, part).targets, getattr(partial, part).targets)


def test_synthetic_scenes_have_several_labels() -> None:
    data: Any = DigitLabels().synthetic(50)
    assert data.train.targets.shape == (50, 40)
    assert (data.train.targets.sum(1) >= 1).all()
    assert data.train.targets.sum(1).max() == 2
    assert DigitLabels(validation=0).synthetic(5).validation is None


def test_mean_average_precision_is_sklearns() -> None:
    random = torch.Generator().manual_seed(0)
    target = (torch.rand(120, 6, generator=random) < 0.2).float()
    target[:, 4] = 0  # a label that nothing has
    logits = torch.randn(120, 6, generator=random) + target
    logits[:20, 0] = 1.0  # ties
    split = logits, target
    subject = of_tensors((logits, torch.arange(120) % 6), split)
    found = ppr.build("evaluator", "multilabel")(subject)
    each = [average_precision_score(target[:, k], logits[:, k]) for k in (0, 1, 2, 3, 5)]
    assert found["map"] == pytest.approx(np.mean(each), abs=1e-6)
    micro = average_precision_score(target.flatten(), logits.flatten())
    assert found["micro_ap"] == pytest.approx(micro, abs=1e-6)
    assert found["positives"] == pytest.approx(target.mean().item())


def test_one_class_a_sample_is_one_label() -> None:
    split = torch.randn(12, 3), torch.arange(12) % 3
    several = split[0], torch.eye(3)[split[1]]
    evaluator = ppr.build("evaluator", "multilabel")
    assert evaluator(of_tensors(split, split)) == evaluator(of_tensors(split, several))


def test_seeds_that_train_together_take_several_labels() -> None:
    targets = (torch.rand(12, 5, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    split = Split(torch.arange(12.0)[:, None], targets)
    alone = [Batches(split, 4, seed, torch.device("cpu")) for seed in (0, 1)]
    for together, *each in zip(
        StackedBatches(alone).epoch(0), *(batches.epoch(0) for batches in alone), strict=True
    ):
        assert torch.equal(together.targets, torch.stack([batch.targets for batch in each]))


# --- asymmetric loss


def negative(p: float, **fields: Any) -> tuple[float, float]:
    """Loss and gradient with respect to the logit of one negative with probability p."""
    z = torch.tensor([[math.log(p / (1 - p))]], dtype=torch.float64, requires_grad=True)
    value = ppr.build("loss", "asl", **fields)(z, torch.zeros_like(z))
    value.backward()
    assert z.grad is not None
    return value.item(), z.grad.item()


def test_asymmetric_loss_of_a_negative() -> None:
    assert negative(0.04) == (0.0, 0.0)
    value, gradient = negative(0.55, detach=False)
    assert value == pytest.approx(-(0.5**4) * math.log(0.5))
    p, shifted, power = 0.55, 0.5, 4
    slope = 1 / (1 - shifted) - power * math.log(1 - shifted) / shifted
    assert gradient == pytest.approx(shifted**power * slope * p * (1 - p))
    constant = shifted**power / (1 - shifted) * p * (1 - p)
    assert negative(0.55) == pytest.approx((value, constant))


def test_asymmetric_loss_without_its_asymmetry_is_binary_cross_entropy() -> None:
    logits = 5 * torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).double()
    target = (logits.roll(1, 0) > 0).double()
    plain = {"gamma_negative": 0.0, "clip": 0.0, "detach": False}
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    torch.testing.assert_close(ppr.build("loss", "asl", **plain)(logits, target), expected / 7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_certain_labels_have_finite_gradients(gamma: float, clip: float) -> None:
    logits = torch.tensor([[0.0, 90.0, -90.0, 1e4, -1e4]], requires_grad=True)
    fields = {"gamma_positive": gamma, "gamma_negative": gamma, "clip": clip, "detach": False}
    for target in (torch.zeros_like(logits), torch.ones_like(logits)):
        value = ppr.build("loss", "asl", **fields)(logits, target)
        assert value.isfinite()
        (gradient,) = torch.autograd.grad(value, logits)
        assert gradient.isfinite().all()
