"""Soft metrics against scikit-learn's, side-by-side networks against torch's, folds and draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.run import make_task, open_bench
from ppr.studies.classification_loss import soft_metric_folds as study

TRUE = {
    "f1": metrics.f1_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "gmean": lambda y, a: metrics.recall_score(y, a) * metrics.recall_score(1 - y, 1 - a),
}


def make(folder, *words):
    config = compose(["experiment=anyloss_breast_cancer", "task.epochs=1", *words])
    return make_task(open_bench(config, folder, Watcher()))


@pytest.mark.parametrize("name", study.METRICS)
def test_a_hard_matrix_has_the_metric_itself(name: str) -> None:
    """The released geometric mean is without its root."""
    random = np.random.default_rng(0)
    y, a = random.integers(0, 2, (2, 60))
    loss = study.soft_metric(name, torch.tensor(a).double()[None], torch.tensor(y).double())
    assert loss.shape == (1,)
    assert 1 - loss.item() == pytest.approx(TRUE[name](y, a), abs=1e-5)


@pytest.mark.parametrize("name", study.METRICS)
def test_soft_metrics_by_their_sums(name: str) -> None:
    torch.manual_seed(0)
    p, y = (
        torch.rand(7, dtype=torch.double, requires_grad=True),
        torch.tensor([0, 1, 0, 0, 1, 0, 1.0]),
    )
    a = [1 / (1 + np.exp(-30 * (x - 0.5))) for x in p.tolist()]
    tp = sum(x for x, t in zip(a, y, strict=True) if t)
    fp = sum(x for x, t in zip(a, y, strict=True) if not t)
    fn, tn = 3 - tp, 4 - fp
    expected = {
        "f1": tp / (tp + (fp + fn) / 2),
        "gmean": tp / 3 * tn / 4,
        "balanced_accuracy": (tp / 3 + tn / 4) / 2,
    }[name]
    found = study.soft_metric(name, study.sharpened(p, 30.0), y.double())
    assert 1 - found.item() == pytest.approx(expected, abs=1e-5)
    assert torch.autograd.gradcheck(
        lambda p: study.soft_metric(name, study.sharpened(p, 5.0), y.double()), p
    )


def test_plain_losses_by_their_sums() -> None:
    p, y = torch.tensor([0.2, 0.9, 0.6, 0.3]), torch.tensor([0.0, 1.0, 0.0, 0.0])
    terms = np.log(np.array([0.8, 0.9, 0.4, 0.7]) + study.SMALL)
    assert study.plain("mse", p, y).item() == pytest.approx(np.mean([0.04, 0.01, 0.36, 0.09]))
    assert study.plain("bce", p, y).item() == pytest.approx(-terms.mean())
    weights = np.array([0.25, 0.75, 0.25, 0.25])
    assert study.plain("weighted_bce", p, y).item() == pytest.approx(-(weights * terms).mean())


def test_each_network_is_a_network_of_its_own() -> None:
    """Outputs and averages are those of torch's modules with the same weights."""
    networks = study.Networks(3, 4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in networks.parameters:
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(50, 4)
    outputs = networks(x, training=True)
    held = networks(x[:5], training=False)
    hidden, bias, gain, shift, last, last_bias = (x.detach() for x in networks.parameters)
    for at in range(3):
        norm = nn.BatchNorm1d(2, eps=1e-3, momentum=0.01)
        alone = nn.Sequential(nn.Linear(4, 2), norm, nn.Sigmoid(), nn.Linear(2, 1))
        state = (
            hidden[at],
            bias[at],
            gain[at],
            shift[at],
            last[at : at + 1],
            last_bias[at : at + 1],
        )
        for parameter, value in zip(alone.parameters(), state, strict=True):
            parameter.data = value
        torch.testing.assert_close(outputs[at], alone(x)[:, 0])
        norm.running_var = 0.99 + (norm.running_var - 0.99) * 49 / 50  # Keras's is not unbiased
        torch.testing.assert_close(held[at], alone.eval()(x[:5])[:, 0])


def test_scores_are_scikit_learns() -> None:
    random = np.random.default_rng(1)
    y, a = random.integers(0, 2, (2, 80))
    found = study.scores(a == 1, y)
    assert found["f1"] == pytest.approx(metrics.f1_score(y, a))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, a))
    assert found["gmean"] ** 2 == pytest.approx(TRUE["gmean"](y, a))
    assert study.scores(np.zeros(80, bool), y) == {"f1": 0, "gmean": 0, "balanced_accuracy": 0.5}


def test_settings_are_the_notebooks(tmp_path) -> None:
    cancer = make(tmp_path)
    x, y = cancer.data()
    assert x.shape == (569, 30)
    assert y.sum() == 212  # malignant
    np.testing.assert_allclose(x.std(0, ddof=1), 1)
    found = cancer.measure()
    gain = found["f1"]["f1"] - found["weighted_bce"]["f1"]
    assert found["over_weighted_bce"]["f1"] == pytest.approx(gain)
    drawn = make(tmp_path, "task.setting=sharpness")
    x, y = drawn.data()
    assert x.shape == (10_000, 2)
    assert y.mean() == pytest.approx(0.1, abs=0.01)
    assert len(drawn.arms) == 35
    assert drawn.arms[24] == "L73"


@pytest.mark.parametrize(("fresh", "networks"), [("false", 1), ("true", 5)])
def test_a_network_goes_on_through_the_folds_or_begins_anew(
    fresh, networks, tmp_path, monkeypatch
) -> None:
    """The released sweep's goes on: five folds of one epoch are five epochs of training."""
    task, seen = make(tmp_path, "task.setting=sharpness", f"task.fresh={fresh}"), []
    monkeypatch.setattr(task, "train", lambda each, *rest: seen.append(each))
    found = task.measure()
    assert set(found["collapsed"].values()) <= {0.0, 1.0}
    assert len(seen) == 5
    assert len({id(each) for each in seen}) == networks
