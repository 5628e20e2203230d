"""Forecasts over bins: the series, the quantiles, the evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rv_histogram
from subjects import Given

import ppr
from ppr.config.compose import compose
from ppr.data.timeseries.binned_series import CONTEXT, HORIZON, REACH, BinnedSeries
from ppr.engine.bench import Watcher
from ppr.engine.subject import Subject
from ppr.errors import BadRequest
from ppr.evaluators.timeseries.forecast import LEVELS, quantiles
from ppr.run import execute_here


def series(**fields: object) -> BinnedSeries:
    return BinnedSeries(**{"train": 40, "validation": 10, "test": 20, **fields})


def test_windows_are_standard_and_their_tokens_are_the_bins_of_the_values() -> None:
    data = series(train=400).load()
    split = data.train
    values, tokens = split.extra["values"], split.targets
    assert tokens.shape == (400, CONTEXT + HORIZON - 1)
    assert torch.equal(split.inputs[:, 1:], tokens[:, :-1])
    centres = -REACH + 2 * REACH / 64 * (tokens + 0.5)
    assert (values - centres).abs().max() <= REACH / 64 + 1e-5
    context = torch.cat([torch.zeros(400, 0), values[:, : CONTEXT - 1]], dim=1)
    assert context.mean().abs() < 0.05
    assert context.std(1).mean() == pytest.approx(1, abs=0.05)
    assert split.extra["mask"].sum(1).unique().tolist() == [HORIZON]
    assert split.extra["mask"][:, CONTEXT - 1 :].all()


def test_what_is_forecast_comes_after_what_is_trained_on() -> None:
    """Pre-training and fine-tuning have other series; a seed gives the same ones twice."""
    assert series().load().digest == series().load().digest
    assert series().load().digest != series(split_seed=1).load().digest
    assert series().load().digest != series(purpose="pretrain").load().digest


def test_quantiles_are_those_of_scipys_histogram() -> None:
    p = torch.rand(6, 8, generator=torch.Generator().manual_seed(0)).double()
    p = p / p.sum(1, keepdim=True)
    found = quantiles(p, torch.tensor(LEVELS, dtype=torch.float64), 4.0)
    for row, weights in zip(found, p, strict=True):
        law = rv_histogram((weights.numpy(), np.linspace(-4, 4, 9)), density=False)
        np.testing.assert_allclose(row.numpy(), law.ppf(LEVELS), atol=1e-9)


def test_errors_of_the_forecast() -> None:
    data = series(bins=8).load()
    outputs = torch.randn(20, *data.shape, 8, generator=torch.Generator().manual_seed(0))
    network = Given(outputs)
    subject = Subject(
        encoder=network, network=network, dataset=data, device=torch.device("cpu"), batch_size=32
    )
    found = ppr.build("evaluator", "forecast")(subject)
    mask = data.test.extra["mask"]
    errors, means, losses, entropies = [], [], [], []
    for z, v in zip(outputs[mask].double(), data.test.extra["values"][mask].tolist(), strict=True):
        p = z.softmax(0).numpy()
        law = rv_histogram((p, np.linspace(-4, 4, 9)), density=False)
        errors.append(abs(v - law.median()))
        means.append(abs(v - law.mean()))
        entropies.append(-(p * np.log(p)).sum())
        above = v - law.ppf(LEVELS)
        losses.append(
            2 * np.where(above > 0, np.multiply(LEVELS, above), (np.array(LEVELS) - 1) * above)
        )
    assert found["median_mae"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert found["mean_mae"] == pytest.approx(np.mean(means), rel=1e-5)
    assert found["quantile_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)


def test_a_data_set_without_values_is_refused() -> None:
    data = ppr.build("dataset", "products", None, train=5, validation=0, test=5).load()
    network = torch.nn.Identity()
    subject = Subject(encoder=network, network=network, dataset=data, device=torch.device("cpu"))
    with pytest.raises(BadRequest, match="'products' has no values"):
        ppr.build("evaluator", "forecast")(subject)


def test_fine_tuning_starts_from_the_pretrained_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    small = ["engine.max_steps=2", "engine.device=cpu", "dataset.train=128", "dataset.test=64"]
    start = " ".join(["experiment=series_pretrained", *small])
    execute_here(compose([*start.split(" ")]), Watcher())
    words = ["experiment=wasserstein_series", *small, f"inputs.start='{start}'"]
    summary = execute_here(compose(words), Watcher())
    assert set(summary["metrics"]["forecast"]) == {
        "median_mae", "mean_mae", "quantile_loss", "entropy",
    }  # fmt: skip
