"""Accuracies and calibration of a classifier against loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from subjects import build, clusters, of_tensors

from ppr.evaluators.calibration.calibration import expected_error


@pytest.mark.parametrize("classes", [2, 5, 6, 40])
def test_accuracies_are_the_loop_over_sorted_scores(classes: int) -> None:
    split = clusters(1, 400, classes=classes, width=classes)
    metrics = build("classifier")(of_tensors(split, split))
    assert set(metrics) == ({"top1", "top5"} if classes > 5 else {"top1"})
    for name, value in metrics.items():
        best = split[0].argsort(1, descending=True)[:, : int(name[3:])].tolist()
        hits = [target in row for row, target in zip(best, split[1].tolist(), strict=True)]
        assert value == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sharpness", [0.3, 3.0, 60.0])  # the last makes probabilities of exactly 1
def test_calibration_is_the_brute_force_loop(bins: int, sharpness: float) -> None:
    logits, targets = clusters(1, 300, classes=7, width=7)
    logits = logits * sharpness
    split = (logits, targets)
    metrics = build("calibration", bins=bins)(of_tensors(split, split))
    inside: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    nll = 0.0
    for row, target in zip(logits.double().tolist(), targets.tolist(), strict=True):
        total = math.fsum(math.exp(x - max(row)) for x in row)
        probabilities = [math.exp(x - max(row)) / total for x in row]
        top = max(probabilities)
        bin_ = min(math.ceil(top * bins) - 1, bins - 1)
        inside[bin_].append((top, probabilities.index(top) == target))
        nll -= (row[target] - max(row) - math.log(total)) / 300
    gaps = [
        abs(sum(p for p, _ in members) - sum(right for _, right in members)) for members in inside
    ]
    assert metrics["ece"] == pytest.approx(sum(gaps) / 300, abs=1e-5)
    assert metrics["nll"] == pytest.approx(nll, rel=1e-5)
    if sharpness == 60.0:
        assert (logits.softmax(1).max(1).values == 1).any()


def test_constant_logits_are_calibrated_to_chance() -> None:
    split = torch.zeros(70, 7), torch.arange(70) % 7
    metrics = build("calibration")(of_tensors(split, split))
    assert metrics["ece"] == pytest.approx(0, abs=1e-6)
    assert metrics["nll"] == pytest.approx(math.log(7), rel=1e-6)


@pytest.mark.parametrize("bins", [1, 2, 7, 15])
def test_bins_hold_their_lower_edge(bins: int) -> None:
    """Confidences on, just below and just above every edge, against numpy's histogram of them."""
    edges = torch.linspace(0, 1, bins + 1).numpy()
    beside = [np.nextafter(edges[1:], np.float32(0)), np.nextafter(edges[:-1], np.float32(1))]
    confidence = np.concatenate([edges, *beside])
    right = (np.arange(len(confidence)) % 3 == 0).astype(np.float32)
    sums = [
        np.histogram(confidence, edges, weights=each)[0].astype(np.float64)
        for each in (confidence, right)
    ]
    expected = np.abs(sums[0] - sums[1]).sum() / len(confidence)
    found = expected_error(torch.from_numpy(confidence), torch.from_numpy(right), bins)
    assert found == pytest.approx(expected, abs=1e-6)


def test_probability_one_shares_the_last_bin() -> None:
    """One sample certain and wrong, one at 0.95 and right: |1.95 - 1| / 2 if they share a bin."""
    logits = torch.tensor([[100.0, 0.0], [math.log(0.05), math.log(0.95)]])
    split = logits, torch.tensor([1, 1])
    assert build("calibration", bins=10)(of_tensors(split, split))["ece"] == pytest.approx(0.475)
