"""The linear probe against scikit-learn's logistic regression and autograd, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from subjects import build, clusters, make_dataset, make_subject, noisy, of_tensors
from torch import Tensor, nn

from ppr.errors import BadRequest, PprError, RunFailed


@pytest.mark.parametrize("scaling", ["none", "standardise"])
def test_lbfgs_probe_is_scikit_learns_logistic_regression(scaling: str) -> None:
    train, test = clusters(1, 210), clusters(2, 300)
    weight_decay = 0.01
    metrics = build("linear", optimizer="lbfgs", weight_decay=weight_decay, scaling=scaling)(
        of_tensors(train, test)
    )
    scaler = StandardScaler(with_mean=scaling != "none", with_std=scaling != "none")
    fitted = scaler.fit_transform(train[0].double().numpy())
    model = LogisticRegression(C=1 / (210 * weight_decay), tol=1e-8, max_iter=5000)
    model.fit(fitted, train[1].numpy())
    scores = model.predict_log_proba(scaler.transform(test[0].double().numpy()))
    best_first = np.argsort(-scores, axis=1)
    right = best_first == test[1].numpy()[:, None]
    assert metrics["top1"] == pytest.approx(right[:, 0].mean())
    assert metrics["top5"] == pytest.approx(right[:, :5].any(axis=1).mean())
    assert metrics["nll"] == pytest.approx(log_loss(test[1], np.exp(scores)), rel=1e-4)
    assert 0.5 < metrics["top1"] < 0.95


def test_lbfgs_weights_are_scikit_learns() -> None:
    from ppr.evaluators.representation.linear import _solve

    features, labels = clusters(1, 210)
    probe = _solve(features, labels, 7, 0.02)
    model = LogisticRegression(C=1 / (210 * 0.02), tol=1e-8, max_iter=5000).fit(features, labels)
    np.testing.assert_allclose(probe[:-1].T, model.coef_, atol=2e-4)
    biases = probe[-1] - probe[-1].mean()  # the bias is fixed up to a constant
    np.testing.assert_allclose(biases, model.intercept_ - model.intercept_.mean(), atol=2e-4)


def test_sgd_probe_converges_to_the_same_optimum() -> None:
    """With decay to a small rate and a decay on the weights, SGD ends near the exact solution."""
    train, test = clusters(1, 210), clusters(2, 700)
    exact = build("linear", optimizer="lbfgs", weight_decay=0.02)(of_tensors(train, test))
    trained = build("linear", lr=0.1, epochs=200, batch_size=70, weight_decay=0.02)(
        of_tensors(train, test)
    )
    assert trained["top1"] == pytest.approx(exact["top1"], abs=0.015)


def test_sgd_steps_are_those_of_autograd_and_torch_sgd() -> None:
    """Replays the probe's training with nn.Linear, autograd, torch.optim.SGD and MultiStepLR."""
    from ppr.evaluators.representation.linear import Linear

    features, labels = clusters(1, 100)
    epochs, size = 10, 32
    evaluator = Linear(epochs=epochs, batch_size=size, lr=0.5, weight_decay=0.01)
    generator = torch.Generator().manual_seed(5)
    snapshots: list[Tensor] = []
    evaluator._descend(
        lambda: features, labels, 7, generator, lambda probe: snapshots.append(probe.clone())
    )

    generator.manual_seed(5)
    bound = 1 / math.sqrt(10)
    start = torch.empty(11, 7).uniform_(-bound, bound, generator=generator)
    model = nn.Linear(10, 7)
    with torch.no_grad():
        model.weight.copy_(start[:-1].T)
        model.bias.copy_(start[-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [6, 8, 9], gamma=0.2)
    assert len(snapshots) == epochs
    for snapshot in snapshots:
        order = torch.randperm(100, generator=generator)
        for first in range(0, 100, size):
            batch = order[first : first + size]
            loss = nn.functional.cross_entropy(model(features[batch]), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        schedule.step()
        torch.testing.assert_close(snapshot[:-1].T, model.weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(snapshot[-1], model.bias.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("epochs", "milestones"), [(100, (60, 75, 90)), (20, (12, 15, 18))])
def test_rate_decays_as_in_the_reference_recipe(epochs: int, milestones: tuple[int, ...]) -> None:
    """main_linear.py of SupContrast: rate * 0.2^(milestones below the 1-based epoch)."""
    from ppr.evaluators.representation.linear import Linear

    probe = Linear(epochs=epochs, lr=5.0)
    rates = [probe.rate(epoch) for epoch in range(epochs)]
    passed = [sum(epoch > m for m in milestones) for epoch in range(1, epochs + 1)]
    assert rates == pytest.approx([5.0 * 0.2**count for count in passed])


def test_best_epoch_is_chosen_on_validation_never_on_test(monkeypatch: Any) -> None:
    train, test, validation = clusters(1, 70), clusters(2, 200), clusters(3, 200)
    from ppr.evaluators.representation import linear

    seen: list[tuple[float, float]] = []
    count_right = linear._right

    def spy(probe: Tensor, features: Tensor, target: Tensor) -> Tensor:
        right = count_right(probe, features, target)
        seen.append((float(features.sum()), int(right) / 200))
        return right

    monkeypatch.setattr(linear, "_right", spy)
    metrics = build("linear", epochs=25, lr=1.0, batch_size=16)(of_tensors(train, test, validation))
    on_test = [value for total, value in seen if total == float(test[0].sum())]
    on_validation = [value for total, value in seen if total == float(validation[0].sum())]
    assert len(on_test) == len(on_validation) == 25
    assert metrics["best_top1"] == on_test[int(np.argmax(on_validation))]
    assert metrics["top1"] == on_test[-1]
    assert metrics["best_top1"] != max(on_test)  # chosen honestly, so not the best there was


def test_labels_per_class_is_a_balanced_seeded_subset() -> None:
    from ppr.evaluators.representation.linear import Linear

    def rows(seed: int) -> Tensor:
        chosen = Linear(labels_per_class=5)._labelled(make_subject(seed=seed))
        assert chosen is not None
        return chosen

    targets = make_dataset().train.targets
    assert torch.equal(targets[rows(0)].bincount(), torch.full((7,), 5))
    assert len(set(rows(0).tolist())) == 35
    assert torch.equal(rows(0), rows(0))
    assert not torch.equal(rows(0), rows(1))
    together = torch.cat([rows(seed) for seed in range(40)]).bincount(minlength=140)
    assert together.min() > 0  # 40 draws of 5 in 20: a sample is never drawn with odds of 1e-5


def test_few_labels_fit_those_rows_only() -> None:
    """Labels of every other row are made useless: the probe must not have seen them."""
    from ppr.evaluators.representation.linear import Linear

    subject = make_subject()
    few = build("linear", optimizer="lbfgs", weight_decay=0.01, labels_per_class=5)
    rows = Linear(labels_per_class=5)._labelled(subject)
    assert rows is not None
    features, targets = subject.features("train")
    test_features, test_targets = subject.features("test")
    model = LogisticRegression(C=1 / (35 * 0.01), tol=1e-8, max_iter=5000)
    model.fit(features[rows], targets[rows])
    expected = model.score(test_features, test_targets)
    assert few(subject)["top1"] == pytest.approx(expected)


def test_augmented_features_are_drawn_anew_each_epoch() -> None:
    subject = make_subject()
    calls: list[Tensor] = []

    def spy(images: Tensor, generator: torch.Generator) -> Tensor:
        calls.append(noisy(images, generator))
        return calls[-1]

    subject.train_transform = spy
    fields = {"epochs": 3, "labels_per_class": 4, "augment": True, "lr": 0.1}
    first = build("linear", **fields)(subject)
    assert [len(call) for call in calls] == [28] * 3  # the 28 labelled images, nothing else
    assert not torch.equal(calls[0], calls[1])
    assert build("linear", **fields)(make_subject()) == first


def test_constant_features_are_no_division_by_zero() -> None:
    train, test = clusters(1, 70), clusters(2, 70)
    flat = [(torch.cat([x, torch.full((len(x), 1), 3.0)], 1), y) for x, y in (train, test)]
    probe = build("linear", scaling="standardise", epochs=5, lr=0.1)
    assert probe(of_tensors(*flat)) == pytest.approx(probe(of_tensors(train, test)), abs=0.2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels_per_class": 21}, r"evaluator\.linear\.labels_per_class=21: must be at most 20"),
        ({"optimizer": "lbfgs"}, r"evaluator\.linear\.weight_decay=0: must be greater than 0"),
        (
            {"optimizer": "lbfgs", "weight_decay": 0.1, "augment": True},
            r"evaluator\.linear\.augment=True: allowed with optimizer=sgd only",
        ),
        ({"scaling": "standardize"}, "scaling='standardize': must be"),
        ({"labels": 3}, r"labels: evaluator 'linear' has no such field"),
    ],
)
def test_linear_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PprError, match=message) as failure:
        build("linear", **fields)(make_subject())
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 1e20}, r"evaluator\.linear\.lr=1e\+20: the probe diverged"),
        (
            {"optimizer": "lbfgs", "weight_decay": 1e-30},
            r"evaluator\.linear\.optimizer=lbfgs: not converged",
        ),
    ],
)
def test_a_probe_that_fails_says_so(fields: dict[str, Any], message: str) -> None:
    """Features of size 1e20 and mislabelled: nothing can fit them in float32."""
    features, targets = clusters(1, 70)
    split = features * 1e20, targets
    with pytest.raises(RunFailed, match=message):
        build("linear", **fields)(of_tensors(split, split))


def test_augment_without_an_augmentation_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"evaluator\.linear\.augment=True: .*no train augment"):
        build("linear", augment=True)(make_subject(train_transform=None))


def test_train_split_of_one_class_is_refused() -> None:
    train = clusters(1, 70)[0], torch.full((70,), 6)
    with pytest.raises(BadRequest, match=r"^evaluator\.linear: needs two classes"):
        build("linear")(of_tensors(train, clusters(2, 70)))
