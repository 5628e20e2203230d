"""Label noise, and the anchors: what is drawn, how often, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_toy import refused
from hypothesis import given
from hypothesis import strategies as st

import ppr
from ppr.data.splits import flip_labels
from ppr.data.vision import anchors
from ppr.data.vision.mnist import MNIST
from ppr.errors import BadRequest

NOISY = ("digits", "mnist", "cifar10", "cifar100")


@given(
    targets=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_flips_a_share_of_every_class(targets: list[int], share: float, seed: int) -> None:
    clean = np.array(targets)
    noisy = flip_labels(clean, 5, share, seed)
    wrong = noisy != clean
    assert wrong.sum() == round(share * len(clean))
    assert ((noisy >= 0) & (noisy < 5)).all()
    for label in range(5):
        of_class = clean == label
        assert abs(wrong[of_class].sum() - share * of_class.sum()) <= 1.5
    assert (noisy == flip_labels(clean, 5, share, seed)).all()


def test_flips_to_every_other_class_alike() -> None:
    clean = np.repeat(np.arange(5), 4000)
    noisy = flip_labels(clean, 5, 0.6, 0)
    for label in range(5):
        counts = np.bincount(noisy[clean == label], minlength=5)
        assert counts[label] == 1600
        others = np.delete(counts, label)
        assert np.abs(others - 600).max() < 5 * np.sqrt(600)


def test_more_noise_keeps_the_wrong_labels() -> None:
    clean = np.arange(1000) % 10
    little, much = (flip_labels(clean, 10, share, 7) for share in (0.2, 0.6))
    assert (much[little != clean] == little[little != clean]).all()


def test_noise_is_independent_of_the_split_of_the_same_seed() -> None:
    """Else the flipped labels would be the ones that a split of that seed holds out."""
    from ppr.data.splits import hold_out

    clean = np.arange(4000) % 10
    _, held = hold_out(clean, 2000, 0)
    wrong = flip_labels(clean, 10, 0.5, 0) != clean
    assert abs(wrong[held].mean() - 0.5) < 0.05


def test_only_training_labels_are_made_wrong() -> None:
    def load(**fields: float) -> Any:
        return ppr.build("dataset", "digits", None, **fields).load()

    clean, noisy, other = load(), load(noise=0.6), load(noise=0.6, noise_seed=1)
    wrong = noisy.train.targets != clean.train.targets
    assert wrong.float().mean().item() == pytest.approx(0.6, abs=1e-3)
    assert torch.equal(noisy.train.inputs, clean.train.inputs)
    for part in ("validation", "test"):
        assert torch.equal(getattr(noisy, part).targets, getattr(clean, part).targets)
    assert len({clean.digest, noisy.digest, other.digest}) == 3
    assert noisy.digest == load(noise=0.6).digest


@pytest.mark.parametrize("name", NOISY)
def test_every_small_image_set_can_be_noisy(name: str) -> None:
    assert ppr.build("dataset", name, None, noise=0.4, noise_seed=3).noise == 0.4
    with pytest.raises(BadRequest, match="noise"):
        ppr.build("dataset", name, None, noise=1.5)


# --- anchors


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """MNIST as images of one bright pixel at (14, 10 + digit), so that a window shows its digit."""

    def images(count: int) -> tuple[np.ndarray, np.ndarray]:
        digits = np.arange(count) % 10
        pixels = np.zeros((count, 1, 28, 28), dtype=np.uint8)
        pixels[np.arange(count), 0, 14, 10 + digits] = 252
        return pixels, digits

    arrays = {"train": images(300), "test": images(100)}
    monkeypatch.setattr(MNIST, "arrays", lambda self: arrays)
    monkeypatch.setattr(anchors, "TRAINING_IMAGES", 200)
    return arrays


def build(**fields: float) -> anchors.Anchors:
    small = {"train": 400, "validation": 200, "test": 300, "imbalance": 100, "test_imbalance": 50}
    source: anchors.Anchors = ppr.build("dataset", "anchors", None, **{**small, **fields})
    return source


@pytest.mark.usefixtures("mnist")
def test_anchors_have_the_imbalance_asked_for() -> None:
    data: Any = build().load()
    found = [(len(s), int(s.targets.sum())) for s in (data.train, data.validation, data.test)]
    assert found == [(400, 4), (200, 4), (300, 6)]
    assert data.train.inputs.shape == (400, 1, 14, 14)
    assert data.train.inputs.dtype == torch.uint8
    assert 0 < data.mean[0] < 1
    assert data.digest == build().load().digest != build(split_seed=1).load().digest


@pytest.mark.usefixtures("mnist")
def test_anchors_show_what_they_are_said_to() -> None:
    """Without noise a window has one bright cell: where it is tells the digit and the move."""
    data: Any = build(pixel_noise=0.0).load()
    hard = 0
    for window, target in zip(data.train.inputs[:, 0], data.train.targets, strict=True):
        if not window.any():
            assert target == 0  # moved out of the window
            continue
        row, column = np.argwhere(window.numpy() > 0)[0]
        assert window.max().item() == 63  # one of the four pixels of a cell
        centred = row == 7 and 5 <= column <= 9
        if target == 1:
            assert (row, column) == (7, (10 + 3) // 2)
        hard += int(target == 0 and centred)
    assert hard >= 20  # 5 % of 400; a digit moved sideways may end on the middle row too


@given(seed=st.integers(0, 99))
def test_easy_background_is_far_off_along_an_axis(seed: int) -> None:
    moved = anchors._far(200, np.random.RandomState(seed))
    farthest = np.abs(moved).max(1)
    assert farthest.min() >= 6
    assert farthest.max() <= 11
    assert (np.sign(moved[np.abs(moved) == farthest[:, None]]) < 0).any()


def test_pooled_windows_are_a_loop_over_pixels() -> None:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (3, 28, 28)).astype(np.uint8)
    offsets = np.array([[0, 0], [6, -11], [-7, 3]])
    windows = anchors._pooled(images, offsets)
    for n, (down, right) in enumerate(offsets):
        for i, j in ((0, 0), (6, 9), (13, 13)):
            total = 0.0
            for y in (2 * i, 2 * i + 1):
                for x in (2 * j, 2 * j + 1):
                    row, column = y + down, x + right
                    if 0 <= row < 28 and 0 <= column < 28:
                        total += images[n, row, column] / 255
            assert windows[n, i, j] == pytest.approx(total / 4)


@pytest.mark.usefixtures("mnist")
def test_anchors_without_foreground_are_refused() -> None:
    with refused(BadRequest, "dataset.train=50", "one in 100", "100 or more"):
        build(train=50).load()


def test_anchors_are_where_mnist_is(tmp_path: Path) -> None:
    assert build().find() is None
