"""Mixup and GenLabel: mixed batches, densities, labels; the toys and the attack on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde, kstest, multivariate_normal
from subjects import make_subject
from torch import nn
from torch.nn import functional as F

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Dataset, Split
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.run import make_task, open_bench


def data_of(inputs: torch.Tensor, targets: torch.Tensor) -> Dataset:
    split = Split(inputs, targets)
    names = tuple(map(str, range(int(targets.max()) + 1)))
    return Dataset("given", split, None, split, tuple(inputs.shape[1:]), names, (), (), "")


def three_classes() -> Dataset:
    random = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 3
    stretch = torch.tensor([[1.0, 0.4], [0.0, 0.5]])
    return data_of(torch.randn(60, 2, generator=random) @ stretch + targets[:, None], targets)


def test_mixup_blends_inputs_and_targets_alike() -> None:
    targets = F.one_hot(torch.arange(5)).float()
    inputs = targets.clone()  # a row's entries say of which samples it is made, and how much
    random = torch.Generator().manual_seed(1)
    shares = set()
    for _ in range(20):
        x, y = ppr.build("mixup", "mixup", None)(inputs, targets, random)
        assert torch.equal(x, y)
        torch.testing.assert_close(x.sum(1), torch.ones(5))
        torch.testing.assert_close(x.sum(0), torch.ones(5))
        assert len(shares.union(x.diagonal().tolist())) >= 1
        shares |= {round(v, 4) for v in x.diagonal().tolist() if v < 1}
    assert len(shares) > 10


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_the_share_is_beta(alpha: float) -> None:
    random = torch.Generator().manual_seed(0)
    mixup = ppr.build("mixup", "mixup", None, alpha=alpha)
    inputs = torch.tensor([[0.0], [1.0]])
    drawn = []
    while len(drawn) < 400:
        x, _ = mixup(inputs, torch.eye(2), random)
        if x[0] != 0:  # the order has exchanged the two
            drawn.append(x[1].item())
    assert kstest(drawn, "beta", args=(alpha, alpha)).pvalue > 0.01


@pytest.mark.parametrize("density", ["kde", "gaussian"])
def test_labels_are_of_the_two_densest_classes(density: str) -> None:
    data = three_classes()
    model = ppr.build("mixup", "genlabel", data, density=density, bandwidth=0.3)
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(2)) + 1
    found = model.labels(points)
    for point, label in zip(points.numpy(), found.numpy(), strict=True):
        logs = []
        for c in range(3):
            members = data.train.inputs[data.train.targets == c].numpy().astype(float)
            if density == "kde":
                logs.append(gaussian_kde(members.T, bw_method=0.3).logpdf(point)[0])
            else:
                normal = multivariate_normal(members.mean(0), np.cov(members.T))
                logs.append(normal.logpdf(point))
        expected = np.exp(np.array(logs) - max(logs))
        expected[np.argmin(logs)] = 0
        np.testing.assert_allclose(label, expected / expected.sum(), atol=1e-6)


def test_ratio_goes_from_mixups_label_to_the_models() -> None:
    data = three_classes()
    inputs, targets = data.train.inputs, F.one_hot(data.train.targets).float()

    def labels(ratio: float) -> torch.Tensor:
        random = torch.Generator().manual_seed(3)
        return ppr.build("mixup", "genlabel", data, ratio=ratio)(inputs, targets, random)[1]

    random = torch.Generator().manual_seed(3)
    assert torch.equal(labels(0.0), ppr.build("mixup", "mixup", None)(inputs, targets, random)[1])
    torch.testing.assert_close(labels(0.25), 0.75 * labels(0.0) + 0.25 * labels(1.0))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [(torch.zeros(6, 1, 2, 2), r"needs inputs \[N, D\]"), (torch.ones(6, 2), "full rank")],
)
def test_data_without_a_density_are_refused(inputs: torch.Tensor, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        ppr.build("mixup", "genlabel", data_of(inputs, torch.arange(6) % 2))


def test_on_a_line_the_gaussian_label_is_right(tmp_path) -> None:
    config = compose(["experiment=genlabel_line", "engine.device=cpu"])
    values = make_task(open_bench(config, tmp_path, Watcher())).execute().metrics["label"]
    assert values["genlabel"] < 1e-12
    assert values["mixup"] > values["mixup_mean"] > 0.1


@pytest.mark.parametrize(("form", "size"), [("moons", 100), ("circles", 100), ("two_circles", 200)])
def test_planar_points_lie_on_their_curves(form: str, size: int) -> None:
    data = ppr.build("dataset", "planar", None, form=form, jitter=0.0, train=100).load()
    x, y = data.train.inputs, data.train.targets
    assert (len(x), y.sum().item()) == (size, size // 2)
    assert data.validation is not None
    if form == "two_circles":
        x = x - 1.2 * x[:, :1].sign() * torch.tensor([1.0, 0.0])
    if form != "moons":
        near = {round(r, 2) for r in x.norm(dim=1).tolist()}
        assert near <= {1.0, 0.8} or form == "two_circles"
    jittered = ppr.build("dataset", "planar", None, form=form, jitter=0.1, train=100).load()
    apart = (jittered.train.inputs - data.train.inputs).abs().mean().item()
    assert apart == pytest.approx(0.1, rel=0.2)


def test_fgsm_is_the_worst_step_against_a_linear_classifier() -> None:
    """There |logit difference| falls by epsilon times the L1 norm of the weights, exactly."""
    subject = make_subject(encoder=nn.Flatten())
    subject.classifier = nn.Linear(48, 7)
    for epsilon in (0.0, 0.03):
        values = ppr.build("evaluator", "fgsm", epsilon=epsilon)(subject)
        clean, attacked = [], []
        for inputs, targets in subject.batches("test"):
            x = inputs.flatten(1).requires_grad_()
            logits = subject.classifier(x)
            shares = logits.softmax(1) - F.one_hot(targets, 7)
            x = x + epsilon * (shares @ subject.classifier.weight).sign()
            clean.append(logits.argmax(1) == targets)
            attacked.append(subject.classifier(x).argmax(1) == targets)
        assert values["clean"] == pytest.approx(torch.cat(clean).float().mean().item())
        assert values["top1"] == pytest.approx(torch.cat(attacked).float().mean().item())
        assert (values["top1"] == values["clean"]) == (epsilon == 0)
