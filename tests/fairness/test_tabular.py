"""Tables with groups: how they are read, effort, disparities and the studies of improvability."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import norm

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest, RunFailed
from ppr.evaluators.fairness.effort import best_effort
from ppr.evaluators.fairness.group_fairness import disparity
from ppr.launchers.execute import execute
from ppr.studies.fairness.improvability_dynamics import _recourse, total_variation

ROWS = 1000


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up German credit: every category of every column, ages and outcomes at random."""
    source = ppr.build("dataset", "german_credit", None)
    random = np.random.RandomState(0)
    columns: dict[str, Any] = {name: random.randint(1, 50, ROWS) for name in source.numeric}
    for name, count in source.categorical.items():
        columns[name] = [f"A{row % count}" for row in range(ROWS)]
    columns |= {"age": random.randint(19, 75, ROWS), "credit": random.randint(1, 3, ROWS)}
    folder = tmp_path / "german_credit"
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "train.parquet")
    monkeypatch.setenv("PPR_DATA", str(tmp_path))
    return folder


def test_a_table_becomes_numbers_groups_and_splits(german: Path) -> None:
    source = ppr.build("dataset", "german_credit", None, validation=100, test=300)
    data = source.load()
    rows = pq.read_table(german / "train.parquet").to_pydict()
    assert (len(data.train), len(data.validation), len(data.test)) == (600, 100, 300)
    assert data.shape == (6 + 54 + 1,) == source.card.shape
    inputs = torch.cat([data.train.inputs, data.validation.inputs, data.test.inputs])
    group = torch.cat([s.extra["group"] for s in (data.train, data.validation, data.test)])
    assert int(group.sum()) == sum(age > 30 for age in rows["age"])
    assert torch.equal(inputs[:, -1].long(), group)
    assert sorted(inputs[:, 0].tolist()) == sorted(rows["duration"])
    one_hot = inputs[:, 6:10]  # status, four categories in turn
    assert one_hot.sum(0).tolist() == [250.0] * 4
    assert (one_hot.sum(1) == 1).all()
    assert data.mean[0] == pytest.approx(data.train.inputs[:, 0].double().mean().item())
    assert data.std[0] == pytest.approx(np.std(data.train.inputs[:, 0].double().numpy()))
    assert data.mean[6:] == (0.0,) * 55
    assert data.extra["improvable"][:3] == (True, True, True)
    assert not any(data.extra["improvable"][3:])


def test_a_model_that_is_not_shown_the_group_still_has_it(german: Path) -> None:
    aware, blind = (
        ppr.build("dataset", "german_credit", None, aware=aware).load() for aware in (True, False)
    )
    assert torch.equal(blind.train.inputs, aware.train.inputs[:, :-1])
    assert torch.equal(blind.train.extra["group"], aware.train.extra["group"])


def test_a_table_that_is_not_the_published_one_is_refused(german: Path) -> None:
    table = pq.read_table(german / "train.parquet")
    pq.write_table(table.slice(0, 999), german / "train.parquet")
    with pytest.raises(RunFailed, match="rows in split"):
        ppr.build("dataset", "german_credit", None).load()
    pq.write_table(table.slice(0, 1), german / "train.parquet")
    with pytest.raises(RunFailed, match="categories"):
        ppr.build("dataset", "german_credit", None).load()
    with pytest.raises(BadRequest, match=r"dataset.test=1000"):
        ppr.build("dataset", "german_credit", None, test=1000)
    with pytest.raises(BadRequest, match=r"dataset.test=5: adult has a test part"):
        ppr.build("dataset", "adult", None, test=5)


def test_disparity_is_the_largest_gap_between_a_group_and_all() -> None:
    random = np.random.RandomState(1)
    for _ in range(20):
        event, given = random.rand(2, 40) < 0.5
        group = random.randint(0, 3, 40)
        overall = (event & given).sum() / given.sum()
        expected = max(
            abs((event & given)[group == z].sum() / max(given[group == z].sum(), 1) - overall)
            for z in set(group)
        )
        found = disparity(*(torch.from_numpy(x) for x in (event, given, group)))
        assert found == pytest.approx(expected)


def test_effort_is_exact_for_a_linear_margin_and_never_beyond_the_box() -> None:
    """No corner of the box, of the inputs that can be changed, is better."""
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 2)
    inputs, room = torch.randn(6, 4), torch.tensor([1.0, 1, 0, 1])
    best = best_effort(network, inputs, room, 0.3)

    def margin(x: torch.Tensor) -> torch.Tensor:
        return (network(x)[:, 1] - network(x)[:, 0]).detach()

    corners = [torch.tensor(c) * room for c in itertools.product([-0.3, 0.3], repeat=4)]
    reachable = torch.stack([margin(inputs + corner) for corner in corners]).amax(0)
    torch.testing.assert_close(margin(best), reachable)
    curved = torch.nn.Sequential(network, torch.nn.Tanh(), torch.nn.Linear(2, 2))
    change = best_effort(curved, inputs, room, 0.3, steps=20) - inputs
    assert change.abs().max() <= 0.3 + 1e-6
    assert (change[:, 2] == 0).all()


def metrics(*words: str) -> dict[str, dict[str, float]]:
    return dict(execute(compose(words), Watcher())["metrics"])


def test_penalised_training_is_fairer_and_measures_what_it_is_told() -> None:
    words = ("experiment=improvability_gaussians", "engine.epochs=5")
    erm = metrics(*words)["group_fairness"]
    fair = metrics(*words, "loss.penalty=loss", "loss.weight=0.2")["group_fairness"]
    assert fair["ei"] < 0.6 * erm["ei"]
    assert 0.7 < fair["top1"] < erm["top1"]


def test_groups_are_needed(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="needs the group of each sample"):
        metrics("experiment=ce_digits", "task=classify_groups", "loss=equal_improvability")


def test_improvability_rates_meet_the_closed_form() -> None:
    found = metrics("experiment=improvability_rate", "task.samples=200000")
    below = norm.cdf((1 - 0) / 1), norm.cdf((1 - 1) / 0.9)
    short = norm.cdf((0.4 - 0) / 1), norm.cdf((0.4 - 1) / 0.9)
    rates = [1 - s / b for s, b in zip(short, below, strict=True)]
    assert found["theory"]["rate_0"] == pytest.approx(rates[0], rel=1e-12)
    assert found["theory"]["rate_1"] == pytest.approx(rates[1], rel=1e-12)
    overall = 1 - sum(short) / sum(below)
    assert found["theory"]["disparity"] == pytest.approx(max(abs(r - overall) for r in rates))
    assert found["error"]["largest"] < 0.01


def test_dynamics() -> None:
    """Total variation and recourse by numerical integration; one round of ERM by samples."""
    means, stds = np.array([0.0, 1.0]), np.array([2.0, 1.0])
    x = np.linspace(-12, 12, 200_001)
    gap = np.abs(norm.pdf(x, 0, 2) - norm.pdf(x, 1, 1))
    assert total_variation(means, stds) == pytest.approx(np.trapezoid(gap, x) / 2, abs=1e-6)
    part = (0.5 - x) * norm.pdf(x, 0, 2) * (x < 0.5)
    expected = np.trapezoid(part, x) / norm.cdf(0.5, 0, 2)
    assert _recourse(np.array([0.5, 2]), means, stds)[0] == pytest.approx(expected, abs=1e-4)
    found = metrics("experiment=improvability_dynamics", "task.rounds=1")["distance"]
    random = np.random.RandomState(0)
    drawn = random.normal(means[:, None], stds[:, None], (2, 400_000))
    threshold = np.quantile(drawn, 0.8)
    short = threshold - drawn
    moved = drawn + np.where(short > 0, 1 / (short + 0.6) ** 2, 0)
    sampled = total_variation(moved.mean(1), moved.std(1))
    assert found["erm"] == pytest.approx(sampled, abs=0.01)
    assert found["ei"] < found["start"]


def test_the_released_draw_is_that_of_numpys_legacy_calls() -> None:
    data = ppr.build("dataset", "improvable_gaussians_released", None).load()
    assert (len(data.train), len(data.test)) == (16_000, 4000)
    random = np.random.RandomState(0)
    law = {
        (1, 1): ((0.4, 0.3), 0.1),
        (1, 0): ((0.1, 0.4), 0.2),
        (0, 0): ((-0.1, -0.2), 0.4),
        (0, 1): ((-0.2, -0.3), 0.2),
    }
    for i in range(300):
        z = random.binomial(n=1, p=0.4, size=1)[0]
        y = random.binomial(n=1, p=(0.3, 0.5)[z], size=1)[0]
        mean, variance = law[y, z]
        x = random.multivariate_normal(mean=mean, cov=variance * np.eye(2), size=1)[0]
        assert data.train.inputs[i].tolist() == [*x.astype(np.float32), z]
        assert (int(data.train.targets[i]), int(data.train.extra["group"][i])) == (y, z)
