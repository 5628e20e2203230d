"""Anomaly detection: scores and their areas, one class to learn from, the mean shift's centre."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors
from subjects import of_tensors
from torch import nn
from torch.nn import functional as F

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.evaluators.ood_openset.anomaly import auroc, false_positives
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench

TINY = ["dataset.of=digits", "model=mlp", "model.hidden=[8]", "engine.device=cpu",
        "engine.epochs=1", "dataset.limit=100", "engine.batch_size=50"]  # fmt: skip
PRETRAIN = " ".join(["experiment=pretrain_mnist", *TINY]).replace("[8]", "[8]")
WORDS = ["experiment=msc_mnist", *TINY, f"inputs.start='{PRETRAIN}'"]


@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_areas_are_scikit_learns(seed: int, ties: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    anomalies, normal = torch.randn(30, generator=random) + 1, torch.randn(50, generator=random)
    if ties:
        anomalies, normal = anomalies.round(), normal.round()
    truth = np.r_[np.ones(30), np.zeros(50)]
    scores = torch.cat([anomalies, normal]).numpy()
    assert auroc(anomalies, normal) == pytest.approx(roc_auc_score(truth, scores))
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    assert false_positives(anomalies, normal, 0.95) == pytest.approx(false[true >= 0.95].min())


def test_scores_are_squared_distances_to_the_nearest() -> None:
    random = torch.Generator().manual_seed(0)
    train, test = torch.randn(40, 6, generator=random) + 1, torch.randn(60, 6, generator=random)
    targets = torch.arange(60) % 3
    found = ppr.build("evaluator", "anomaly", k=3)(
        of_tensors((train, torch.arange(40) % 3), (test, targets))
    )
    bank, queries = (F.normalize(x.double()).numpy() for x in (train, test))
    distances, _ = NearestNeighbors(n_neighbors=3).fit(bank).kneighbors(queries)
    scores = (distances**2).sum(1)
    assert found["auroc"] == pytest.approx(roc_auc_score(targets.numpy() > 0, scores))
    cosines = (bank @ bank.T)[~np.eye(40, dtype=bool)]
    assert found["cosine"] == pytest.approx(cosines.mean())
    assert found["cosine_shifted"] < 0.05 < found["cosine"]


def test_one_class_trains_on_it_alone_and_tests_among_the_named() -> None:
    data = ppr.build(
        "dataset", "one_class", None, of="digits", normal=3, among=[1, 7], limit=50, validation=40
    ).load()
    whole = ppr.build("dataset", "digits", None).load()
    threes = {
        x.numpy().tobytes()
        for x, y in zip(whole.train.inputs, whole.train.targets, strict=True)
        if y == 3
    }
    assert len(data.train) == 50
    assert {x.numpy().tobytes() for x in data.train.inputs} <= threes
    assert data.validation is not None
    known = torch.isin(whole.test.targets, torch.tensor([1, 3, 7])).sum().item()
    assert len(data.test) + len(data.validation) == known
    total = (data.test.targets == 0).sum() + (data.validation.targets == 0).sum()
    assert total == (whole.test.targets == 3).sum()
    assert len(data.classes) == 2
    with pytest.raises(BadRequest, match="beside the normal one"):
        ppr.build("dataset", "one_class", None, of="digits", normal=3, among=[3])


def test_the_centre_is_the_mean_before_training_and_is_kept(tmp_path) -> None:
    config = compose(WORDS)
    summary = execute(config)
    saved = torch.load(config.folder / "model.pt", weights_only=True)
    start = compose(PRETRAIN.split())
    begun = torch.load(start.folder / "model.pt", weights_only=True)
    task = make_task(open_bench(config, tmp_path, Watcher()))
    inputs = task.augment.plain(task.bench.dataset.train.inputs).flatten(1)
    features = (inputs @ begun["encoder.1.weight"].T + begun["encoder.1.bias"]).relu()
    torch.testing.assert_close(saved["criterion.centre"], F.normalize(features).mean(0))
    assert not torch.equal(saved["encoder.1.weight"], begun["encoder.1.weight"])
    assert summary["untrained"]["anomaly"]["auroc"] > 0.5


def test_frozen_batch_norm_keeps_its_statistics(tmp_path) -> None:
    words = ["experiment=msc_mnist", "dataset.of=digits", "engine.device=cpu", "inputs={}"]
    task = make_task(open_bench(compose(words), tmp_path, Watcher())).train()
    norms = [part for part in task.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert task.encoder.training
