"""Prediction at every position: the task, its data, U-Net and segmentation's scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.metrics import jaccard_score
from subjects import Given

import ppr
from ppr.config.compose import compose
from ppr.data.text.products import ALPHABET, Products
from ppr.data.vision.digit_scenes import SHOWN, DigitScenes
from ppr.engine.batches import Batch
from ppr.engine.bench import Watcher
from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.losses.segmentation_detection.jml import jaccard, soften
from ppr.run import execute_here, make_task, open_bench


def scenes(**fields: int) -> DigitScenes:
    return ppr.build("dataset", "digit_scenes", None, **fields)


def test_scenes_are_the_same_twice_and_mark_the_bright_pixels() -> None:
    small = {"train": 30, "validation": 10, "test": 10}
    one, two = (scenes(**small, pixel_noise=0).load() for _ in range(2))
    assert one.digest == two.digest
    assert one.digest != scenes(**small, split_seed=1, pixel_noise=0).load().digest
    images, masks = one.train.inputs[:, 0], one.train.targets
    assert masks.shape == (30, *one.shape[1:])
    assert masks.unique().tolist() == list(range(1 + len(SHOWN)))
    # Half the intensity is stored as 0.25 + 0.25 * 0.5 of 255.
    assert torch.equal(masks > 0, images >= round(255 * (0.25 + 0.25 * 128 / 255)))


def test_segmentation_is_scikit_learns_jaccard_score() -> None:
    data = scenes(train=5, validation=0, test=9).load()
    outputs = torch.randn(9, *data.shape[1:], 4, generator=torch.Generator().manual_seed(0))
    outputs += torch.nn.functional.one_hot(data.test.targets, 4)
    network = Given(outputs)
    subject = Subject(
        encoder=network, network=network, dataset=data, device=torch.device("cpu"), batch_size=9
    )
    found = ppr.build("evaluator", "segmentation")(subject)
    guess, truth = outputs.argmax(-1).flatten(), data.test.targets.flatten()
    assert found["miou"] == pytest.approx(jaccard_score(truth, guess, average="macro"))
    assert found["accuracy"] == pytest.approx((guess == truth).double().mean().item())


@pytest.mark.parametrize("widths", [[3], [2, 4], [2, 4, 8]])
def test_unet_has_features_at_every_pixel(widths: list[int]) -> None:
    model = ppr.build("model", "unet", (1, 8, 12), widths=widths)
    out = model(torch.randn(2, 1, 8, 12))
    assert out.shape == (2, 8, 12, widths[0])
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(BadRequest, match="sides divide by 4"):
        ppr.build("model", "unet", (1, 6, 8), widths=[2, 4, 8])


def test_labels_are_smoothed_at_boundaries_only() -> None:
    targets = torch.zeros(1, 5, 6, dtype=torch.int64)
    targets[0, :, 3:] = 2
    soft = soften(torch.nn.functional.one_hot(targets, 4).double(), "boundary", 0.5)
    for column in range(6):
        own = 0 if column < 3 else 2
        expected = torch.zeros(4).double()
        expected[own] = 1
        if column in (2, 3):
            expected = 0.5 * expected + 0.5 / 4
        torch.testing.assert_close(soft[0, :, column], expected.expand(5, 4))


@pytest.mark.parametrize("variant", ["jml1", "jml2", "soft"])
def test_jaccard_of_sets_counts_them(variant: str) -> None:
    x, y = torch.tensor([1.0, 1, 1, 0, 0]), torch.tensor([0.0, 1, 1, 1, 0])
    assert jaccard(x, y, variant).item() == pytest.approx(2 / 4)
    assert jaccard(x, y, variant, smooth=1.0).item() == pytest.approx(3 / 5)


def test_products_are_right_and_their_splits_apart() -> None:
    data = Products(None, train=300, validation=100, test=200).load()
    seen = []
    for split in (data.train, data.validation, data.test):
        assert split is not None
        assert torch.equal(split.inputs[:, 1:], split.targets[:, :-1])
        for first, rest in zip(split.inputs[:, 0], split.targets, strict=True):
            text = "".join(ALPHABET[i] for i in [first, *rest])
            left, right = text.split("=")
            a, b = left.split("*")
            assert int(a) * int(b) == int(right)
            seen.append(text)
        assert split.extra["mask"].sum(1).unique().tolist() == [4]
    assert len(seen) == len(set(seen)) == 600
    with pytest.raises(BadRequest, match="there are 10000"):
        Products(None, train=9000)


def test_what_the_mask_leaves_out_is_not_learnt(tmp_path: Path, monkeypatch) -> None:
    """Where only answers count, no gradient reaches the outputs at other positions."""
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    small = ["dataset.train=8", "dataset.validation=0", "dataset.test=8", "engine.batch_size=8"]
    config = compose(["experiment=ce_products", *small, "model.hidden=4", "engine.device=cpu"])
    task = make_task(open_bench(config, tmp_path, Watcher()))
    data = task.bench.dataset.train
    outputs = torch.randn(8, 9, 12, requires_grad=True)
    task.loss(outputs, Batch(data.inputs, data.targets, torch.arange(8)))["loss"].backward()
    assert (outputs.grad[:, :-4] == 0).all()
    assert (outputs.grad[:, -4:] != 0).any(2).all()


@pytest.mark.parametrize("experiment", ["jml_digit_scenes", "number_token_products"])
def test_smoke_runs_on_random_data(experiment: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    words = ["scale=smoke", "engine.device=cpu"]
    summary = execute_here(compose([f"experiment={experiment}", *words]), Watcher())
    assert summary["scale"] == "smoke"
    assert summary["metrics"]
