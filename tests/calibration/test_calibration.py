"""Calibration measured and caused: the evaluator's errors by loops, the dual focal loss's pull."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from subjects import build, clusters, make_dataset, of_tensors

import ppr
from ppr.errors import BadRequest
from ppr.evaluators.calibration.calibration import fitted_temperature
from ppr.registry import load

BINS = 15


def probabilities(logits: torch.Tensor) -> np.ndarray:
    found: np.ndarray = softmax(logits.double().numpy(), axis=1)
    return found


@pytest.mark.parametrize("sharpness", [0.3, 3.0])
def test_calibration_errors_by_loops(sharpness: float) -> None:
    logits, targets = clusters(1, 300, classes=7, width=7)
    logits = logits * sharpness
    split = logits, targets
    metrics = build("calibration", reliability=True)(of_tensors(split, split))
    p, y = probabilities(logits), targets.numpy()
    top = [(row.max(), int(row.argmax() == label)) for row, label in zip(p, y, strict=True)]
    gap = np.mean([confidence - right for confidence, right in top])
    assert metrics["gap"] == pytest.approx(gap, abs=1e-6)
    assert metrics["confidence"] == pytest.approx(np.mean([c for c, _ in top]), abs=1e-6)

    ranked = sorted(top)
    adaptive = 0.0
    for part in range(BINS):  # 300 samples in 15 bins: 20 in each
        members = ranked[20 * part : 20 * (part + 1)]
        adaptive += abs(sum(c - right for c, right in members)) / 300
    assert metrics["adaptive_ece"] == pytest.approx(adaptive, abs=1e-6)

    classwise = 0.0
    for k in range(7):
        for m in range(BINS):
            inside = [i for i in range(300) if m / BINS <= p[i, k] < (m + 1) / BINS]
            classwise += abs(sum(p[i, k] - (y[i] == k) for i in inside)) / 300 / 7
    assert metrics["classwise_ece"] == pytest.approx(classwise, abs=1e-6)

    for m in range(BINS):
        members = [pair for pair in top if m / BINS <= pair[0] < (m + 1) / BINS]
        name = f"reliability_{m + 1}"
        assert (name in metrics) == bool(members)
        if members:
            above = np.mean([right - c for c, right in members])
            assert metrics[name] == pytest.approx(above, abs=1e-5)


def test_ece_is_the_sum_over_the_reliability_diagram_of_even_bins() -> None:
    """All samples in one bin: the diagram's one value is the ECE, and the gap less its sign."""
    split = torch.tensor([[3.0, 0.0]]).repeat(10, 1), torch.tensor([0] * 6 + [1] * 4)
    metrics = build("calibration", reliability=True)(of_tensors(split, split))
    assert metrics["reliability_15"] == pytest.approx(-metrics["ece"])
    assert metrics["gap"] == pytest.approx(metrics["ece"])
    assert metrics["gap"] == pytest.approx(1 / (1 + math.exp(-3)) - 0.6)


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_temperature_undoes_a_factor(factor: float) -> None:
    """The labels are drawn from softmax(z), so softmax(f z / T) is best at T = f."""
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, generator=random)
    targets = logits.softmax(1).multinomial(1, generator=random).squeeze(1)
    assert fitted_temperature(logits * factor, targets) == pytest.approx(factor, rel=0.03)


def test_temperature_is_fitted_on_validation_and_scales_the_test() -> None:
    validation, test = clusters(1, 300), clusters(2, 200)
    subject = of_tensors(test, test, validation)
    metrics = build("calibration", temperature=True)(subject)
    scale = metrics["temperature"]
    grid = np.linspace(scale * 0.9, scale * 1.1, 41)

    def nll(temperature: float, split: Any) -> float:
        p = probabilities(split[0] / temperature)
        return float(-np.log(p[np.arange(len(p)), split[1].numpy()]).mean())

    best = grid[np.argmin([nll(temperature, validation) for temperature in grid])]
    assert best == pytest.approx(scale, rel=0.006)
    assert metrics["scaled_nll"] == pytest.approx(nll(scale, test), rel=1e-5)
    scaled = test[0] / scale, test[1]
    assert metrics["scaled_ece"] == build("calibration")(of_tensors(scaled, scaled))["ece"]


def test_temperature_needs_a_validation_split() -> None:
    data = make_dataset()
    split = data.train.inputs.flatten(1).float(), data.train.targets
    with pytest.raises(BadRequest, match="no validation split"):
        build("calibration", temperature=True)(of_tensors(split, split))


# --- dual focal loss


def test_dual_focal_loss_of_the_least_probable_class_is_the_focal_loss() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]], dtype=torch.float64)
    dual, focal = ppr.build("loss", "dual_focal", gamma=2.0), ppr.build("loss", "focal", alpha=None)
    least = logits.argmin(1)
    torch.testing.assert_close(dual(logits, least), focal(logits, least))
    assert (dual(logits, logits.argmax(1)) > focal(logits, logits.argmax(1))).all()
    tied = torch.zeros(2, 3, dtype=torch.float64)  # strictly below, so ties give nothing
    torch.testing.assert_close(dual(tied, least), focal(tied, least))


def test_dual_focal_loss_focuses_less_than_the_focal_loss() -> None:
    """1 - p_y + p_j >= 1 - p_y, whatever the class."""
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double()
    for row in logits:
        for target in range(6):
            losses = [
                ppr.build("loss", name, gamma=3.0, **fields)(row[None], torch.tensor([target]))
                for name, fields in (("dual_focal", {}), ("focal", {"alpha": None}))
            ]
            assert losses[0] >= losses[1]


@pytest.mark.parametrize("name", ["dual_focal", "polyloss", "square", "squentropy"])
def test_loss_of_class_probabilities_is_linear_in_them(name: str) -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    loss = ppr.build("loss", name)
    one_hot, other = (torch.eye(5, dtype=torch.float64)[x] for x in (labels, labels.flip(0)))
    whole = loss(logits, labels)
    torch.testing.assert_close(loss(logits, one_hot), whole)
    mixed = loss(logits, 0.3 * one_hot + 0.7 * other)
    torch.testing.assert_close(mixed, 0.3 * whole + 0.7 * loss(logits, labels.flip(0)))


def test_minimiser_of_the_expected_loss() -> None:
    """Of cross-entropy the truth; of the others by a grid over the formulas."""
    study = load("task", "expected_loss_minimiser")(None, true=0.8, gamma=2.0)
    metrics = study.measure()
    found = {name: values["minimiser"] for name, values in metrics.items()}
    assert found["cross_entropy"] == pytest.approx(0.8, abs=1e-6)
    p = np.linspace(0.5 + 1e-6, 1 - 1e-6, 200_001)
    focal = 0.8 * (1 - p) ** 2 * -np.log(p) + 0.2 * p**2 * -np.log(1 - p)
    dual = 0.8 * (2 * (1 - p)) ** 2 * -np.log(p) + 0.2 * p**2 * -np.log(1 - p)
    assert found["focal"] == pytest.approx(p[focal.argmin()], abs=1e-5)
    assert found["dual_focal"] == pytest.approx(p[dual.argmin()], abs=1e-5)
    expected = abs(found["focal"] - 0.8) - abs(found["dual_focal"] - 0.8)
    assert metrics["dual_focal"]["closer"] == pytest.approx(expected)
    with pytest.raises(BadRequest, match=r"task.true=1.0"):
        load("task", "expected_loss_minimiser")(None, true=1.0)


def test_squentropy_of_three_logits() -> None:
    logits, target = torch.tensor([[2.0, 1.0, -1.0]], dtype=torch.float64), torch.tensor([0])
    expected = math.log(1 + math.exp(-1) + math.exp(-3)) + (1 + 1) / 2
    assert ppr.build("loss", "squentropy")(logits, target).item() == pytest.approx(expected)


def test_poly1_without_its_term_is_the_loss_itself() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    for gamma in (0.0, 2.0):
        focal = ppr.build("loss", "focal", gamma=gamma, alpha=None)(logits, labels)
        poly = ppr.build("loss", "polyloss", epsilon=0.0, gamma=gamma)(logits, labels)
        torch.testing.assert_close(poly, focal)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_poly_series(p: float) -> None:
    found = load("task", "poly_series")(None, probability=p, terms=4).measure()
    remainder = sum((1 - p) ** j / j for j in range(5, 500))
    assert found["measured"]["remainder"] == pytest.approx(remainder, rel=1e-6)
    assert found["theory"]["remainder"] == pytest.approx((1 - p) ** 5 / (5 * p))
    assert found["series"]["slack"] > 0
    assert found["series"]["poly1"] < 1e-10
    with pytest.raises(BadRequest, match=r"task.probability=1.0"):
        load("task", "poly_series")(None, probability=1.0)
