"""Metric learning: P x K batches, unseen classes, retrieval, and the weights of pairs."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import ppr
from ppr.data.dataset import Dataset, Split
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.losses.metric_learning import multi_similarity
from ppr.losses.metric_learning._pairs import pair_masks


def batches(targets: torch.Tensor, batch: int, per_class: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    sampler = ppr.build("sampler", "class_balanced", per_class=per_class)
    return sampler.epoch(targets, batch, random)


def test_a_batch_is_p_classes_with_k_different_samples() -> None:
    targets = torch.arange(60) % 7 * 10
    steps = batches(targets, 12, 3)
    assert steps.shape == (5, 12)
    for rows in steps:
        assert len(rows.unique()) == 12
        assert sorted(targets[rows].bincount(minlength=61)[::10].tolist()) == [0] * 3 + [3] * 4
    assert torch.equal(steps, batches(targets, 12, 3))
    assert not torch.equal(steps, batches(targets, 12, 3, seed=1))


def test_every_class_comes_before_any_comes_again() -> None:
    targets = torch.arange(80) % 8
    classes = targets[batches(targets, 10, 5)]
    for start in (0, 4):
        assert classes[start : start + 4].unique().tolist() == list(range(8))


def test_a_class_of_few_samples_shows_all_of_them() -> None:
    targets = torch.tensor([0] * 10 + [1] * 2)
    for rows in batches(targets, 10, 5):
        assert set(rows[targets[rows] == 1].tolist()) == {10, 11}


@pytest.mark.parametrize(("batch", "words"), [(10, "multiple of"), (12, "4 classes")])
def test_batches_that_cannot_be_are_refused(batch: int, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        batches(torch.arange(30) % 2, batch, 3)


def searched(vectors: torch.Tensor, targets: torch.Tensor, **fields: object) -> dict[str, float]:
    split = Split(vectors, targets)
    names = tuple(map(str, range(max(2, int(targets.max()) + 1))))
    data = Dataset("given", split, None, split, tuple(vectors.shape[1:]), names, (), (), "")
    identity = torch.nn.Identity()
    subject = Subject(
        encoder=identity, network=identity, dataset=data, device=torch.device("cpu"), batch_size=7
    )
    values: dict[str, float] = ppr.build("evaluator", "retrieval", **fields)(subject)
    return values


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), normalise=st.booleans(), size=st.integers(4, 25))
def test_retrieval_is_its_definition(seed: int, normalise: bool, size: int) -> None:
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(size, 3, generator=random)
    targets = torch.randint(0, 4, (size,), generator=random)
    targets[:2] = 0
    rows = [(x / np.linalg.norm(x) if normalise else x) for x in vectors.double().numpy()]
    recall1, recall5, precision, at_r = [], [], [], []
    for i in range(size):
        others = sorted((math.dist(rows[i], rows[k]), k) for k in range(size) if k != i)
        found = [bool(targets[k] == targets[i]) for _, k in others]
        count = sum(found)
        if not count:
            continue
        recall1.append(found[0])
        recall5.append(any(found[:5]))
        hits = [r for r, hit in enumerate(found) if hit]
        gains = [(place + 1) / (r + 1) for place, r in enumerate(hits)]
        precision.append(sum(gains) / count)
        at_r.append(sum(g for g, r in zip(gains, hits, strict=True) if r < count) / count)
    pairs = [math.dist(a, b) for a in vectors.tolist() for b in vectors.tolist()]
    values = searched(vectors, targets, normalise=normalise)
    expected = (np.mean(recall1), np.mean(recall5), np.mean(precision), np.mean(at_r))
    for name, value in zip(("recall1", "recall5", "map", "map_r"), expected, strict=True):
        assert values[name] == pytest.approx(value), name
    assert values["spread"] == pytest.approx(sum(pairs) / (size * (size - 1)), rel=1e-5)


def test_perfect_collapsed_and_lonely() -> None:
    targets = torch.arange(12) % 3
    perfect = searched(torch.eye(3)[targets], targets)
    assert perfect["recall1"] == perfect["map"] == perfect["map_r"] == 1
    assert searched(torch.ones(12, 4), targets)["spread"] == 0
    with pytest.raises(BadRequest, match="no class of the test split has two samples"):
        searched(torch.eye(3), torch.arange(3))


def test_weights_of_negatives_are_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """w_ij = 1 / (e^{beta (lambda - S_ij)} + sum_k e^{beta (S_ik - S_ij)}), relative, as all are
    tiny at lambda = 1."""
    beta, threshold, ids = 50.0, 1.0, torch.arange(9) % 3
    random = torch.Generator().manual_seed(0)
    s = torch.rand(9, 9, generator=random, dtype=torch.float64).requires_grad_()
    known = (s, *pair_masks(ids))
    monkeypatch.setattr(multi_similarity, "cosine_pairs", lambda *parts: known)
    loss = ppr.build("loss", "multi_similarity", beta=beta, threshold=threshold, mining=False)
    (gradient,) = torch.autograd.grad(loss(s), s)
    values = s.detach()
    for i in range(9):
        negatives = [k for k in range(9) if ids[k] != ids[i]]
        for j in negatives:
            others = sum(math.exp(beta * (values[i, k] - values[i, j])) for k in negatives)
            weight = 1 / (math.exp(beta * (threshold - values[i, j])) + others)
            assert 9 * gradient[i, j].item() == pytest.approx(weight, rel=1e-9)


def test_equal_embeddings_have_finite_gradients() -> None:
    """The root of a squared distance has an infinite slope at 0."""
    embeddings = torch.zeros(6, 4, requires_grad=True)
    for fields in ({}, {"mining": "all", "margin": 0.2}):
        loss = ppr.build("loss", "triplet", **fields)(embeddings, torch.arange(6) % 2)
        assert torch.autograd.grad(loss, embeddings)[0].isfinite().all()


def zipped(folder: Path) -> None:
    """Both sets as published, every drawing of a character alike."""
    alphabets = {
        "small1": {"Balinese": 24, "Early_Aramaic": 22, "Greek": 24, "Korean": 40, "Latin": 26},
        "small2": {"Greek": 24, "Japanese_(katakana)": 47, "Latin": 26, "Sanskrit": 42,
                   "Tagalog": 17},
    }  # fmt: skip
    for name, sizes in alphabets.items():
        with zipfile.ZipFile(folder / f"images_background_{name}.zip", "w") as archive:
            for alphabet, characters in sizes.items():
                for character in range(1, characters + 1):
                    picture = io.BytesIO()
                    pixels = np.full((8, 8), True)
                    pixels[: character % 8] = False
                    Image.fromarray(pixels).save(picture, "png")
                    for drawing in range(1, 21):
                        where = f"images/{alphabet}/character{character:02}/0_{drawing:02}.png"
                        archive.writestr(where, picture.getvalue())


def test_omniglot_tests_characters_that_it_does_not_train_on(tmp_path: Path) -> None:
    folder = tmp_path / "omniglot_small"
    folder.mkdir()
    zipped(folder)
    data = ppr.build("dataset", "omniglot_small", tmp_path, size=4, validation=30).load()
    assert data.validation is not None
    seen, held, unseen = (
        set(split.targets.tolist()) for split in (data.train, data.validation, data.test)
    )
    assert (len(seen), len(held), len(unseen)) == (106, 30, 106)
    assert not seen & held
    assert not (seen | held) & unseen
    assert data.test.targets.bincount()[136:].tolist() == [20] * 106
    blank = data.train.inputs[data.train.targets == 7]  # the eighth character, half of no ink
    assert blank.shape == (20, 1, 4, 4)
    assert (blank == 0).all()
    with pytest.raises(BadRequest, match="less than the 136 characters"):
        ppr.build("dataset", "omniglot_small", tmp_path, validation=136).load()


def test_a_torn_omniglot_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "omniglot_small"
    folder.mkdir()
    for name in ("small1.zip", "small2.zip"):
        (folder / name).write_bytes(b"PK torn")
    with pytest.raises(RunFailed, match=r"small1\.zip: File is not a zip file"):
        ppr.build("dataset", "omniglot_small", tmp_path).load()
