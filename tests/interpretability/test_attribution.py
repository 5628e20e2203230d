"""Attributions against integrals, differences and deletions worked out here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor, nn

from ppr import build
from ppr.config.compose import compose
from ppr.data.dataset import Dataset, Split
from ppr.engine.bench import Watcher
from ppr.engine.subject import Subject
from ppr.evaluators.interpretability._path import integrated_gradients, points
from ppr.launchers.execute import execute

METHODS = ("integrated_gradients", "gradient", "gradient_input", "random")


def smooth(x: Tensor) -> Tensor:
    return torch.sin(x[:, 0]) * x[:, 1] ** 2 + x[:, 2].exp()


def test_attributions_are_line_integrals() -> None:
    x, base = torch.tensor([[1.0, 2.0, -0.5]]).double(), torch.tensor([[0.2, 0.0, 0.1]]).double()

    def slope(a: float, i: int) -> float:
        u, v, w = (base + a * (x - base))[0].tolist()
        return [np.cos(u) * v**2, 2 * np.sin(u) * v, np.exp(w)][i]

    expected = [
        (x - base)[0, i].item() * quad(lambda a, i=i: slope(a, i), 0, 1)[0] for i in range(3)
    ]
    for rule in ("midpoint", "trapezoid"):
        found = integrated_gradients(lambda at, _: smooth(at), x, base, 2000, rule)
        assert found[0].tolist() == pytest.approx(expected, rel=1e-5)
    assert sum(expected) == pytest.approx((smooth(x) - smooth(base)).item(), rel=1e-9)


def test_each_input_has_its_own_path() -> None:
    """In parts of any size, and with a function that differs from input to input."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=random, dtype=torch.float64)
    scale = torch.arange(1.0, 8.0).double()
    many = integrated_gradients(lambda at, of: scale[of] * smooth(at), x, torch.zeros(1, 3), 1500)
    for n in range(7):
        one = integrated_gradients(
            lambda at, _, n=n: scale[n] * smooth(at), x[n : n + 1], torch.zeros(1, 3), 1500
        )
        assert torch.allclose(many[n], one[0], rtol=1e-12)


def test_rules_are_sums_over_the_unit_interval() -> None:
    assert points(2, "midpoint")[0].tolist() == [0.25, 0.75]
    assert points(2, "right")[0].tolist() == [0.5, 1.0]
    assert [part.tolist() for part in points(2, "trapezoid")] == [[0, 0.5, 1], [0.25, 0.5, 0.25]]


def subject() -> Subject:
    """A linear classifier of 4 x 4 images of one channel, without a transform."""
    torch.manual_seed(0)
    images = torch.rand(6, 1, 4, 4)
    split = Split(images, torch.arange(6) % 3)
    data = Dataset(
        "toy",
        split,
        None,
        split,
        shape=(1, 4, 4),
        classes=("a", "b", "c"),
        mean=(),
        std=(),
        digest="",
    )
    return Subject(
        encoder=nn.Flatten(),
        classifier=nn.Linear(16, 3),
        dataset=data,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("method", METHODS)
def test_evaluator_deletes_the_pixels_it_names(method: str) -> None:
    given = subject()
    found = build("evaluator", "attribution", method=method)(given)
    weight = given.classifier.weight.double()  # type: ignore[union-attr]
    bias = given.classifier.bias.double()  # type: ignore[union-attr]
    x = given.split("test").inputs.double().flatten(1)
    black = bias.softmax(0)
    left, errors = [], []
    for image in x:
        p = (weight @ image + bias).softmax(0)
        k = int(p.argmax())

        def slope(at: Tensor, k: int = k) -> Tensor:
            q = (weight @ at + bias).softmax(0)
            return q[k] * (weight[k] - q @ weight)

        ways = [(i + 0.5) / 300 for i in range(300)]
        a = {
            "integrated_gradients": image * sum(slope(w * image) for w in ways) / 300,
            "gradient": slope(image).abs(),
            "gradient_input": image * slope(image),
        }.get(method)
        if a is None:
            continue
        gain = p[k] - black[k]
        errors.append((abs(a.sum() - gain) / abs(gain)).item())
        for count in (1, 2, 3, 4, 6, 8):
            kept = image.clone()
            kept[a.argsort(descending=True)[:count]] = 0
            left.append((weight @ kept + bias).softmax(0)[k].item())
    if method == "random":
        assert 0 < found["deletion"] < 1
        return
    assert found["deletion"] == pytest.approx(np.mean(left), rel=1e-9)
    assert found["error_300"] == pytest.approx(np.mean(errors), rel=1e-6, abs=1e-12)
    if method == "integrated_gradients":
        assert found["error_300"] < found["error_50"] < found["error_10"]


def test_evaluator_leaves_the_network_as_it_was() -> None:
    given = subject()
    build("evaluator", "attribution")(given)
    assert given.classifier.weight.dtype == torch.float32  # type: ignore[union-attr]
    assert given.classifier.training  # type: ignore[union-attr]


def test_axioms_tell_methods_apart() -> None:
    metrics = execute(compose(["experiment=attribution_axioms"]), Watcher())["metrics"]["measured"]
    assert metrics["gradient"] == 0
    assert metrics["ig"] == pytest.approx(1, abs=1e-3)
    ig = [metrics[f"ig_{place}"] for place in ("f1", "f2", "g1", "g2")]
    assert ig == pytest.approx([1.5, -0.5, 1.5, -0.5], abs=1e-9)
    lifted = [metrics[f"deeplift_{place}"] for place in ("f1", "f2", "g1", "g2")]
    assert lifted == pytest.approx([1.5, -0.5, 2, -1])
    assert metrics["same"] < 1e-12
    assert metrics["linearity"] < 1e-9
    assert metrics["completeness"] < 0.01
