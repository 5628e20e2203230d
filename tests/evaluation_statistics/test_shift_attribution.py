"""Attribution of a loss to mechanisms: draws, densities and Shapley values by other means."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.integrate import quad

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.run import make_task, open_bench
from ppr.studies.evaluation_statistics import shift_attribution as study
from ppr.studies.evaluation_statistics.shift_attribution import COLUMNS, MOVED, Domain

SMALL = ["experiment=shift_attribution", "task.samples=4000", "task.truth_samples=20000"]


def make(folder, *words):
    return make_task(open_bench(compose([*SMALL, *words]), folder, Watcher()))


def by_column(name: str, domain: Domain) -> dict[str, Domain]:
    return {column: domain if column == name else Domain() for column in COLUMNS}


def test_shapley_values_are_means_over_orders() -> None:
    random = np.random.default_rng(0)
    worth = {}

    def value(coalition: frozenset[str]) -> float:
        return worth.setdefault(coalition, random.normal())

    found = study.shapley("abcd", value)
    for player in "abcd":
        gains = []
        for order in permutations("abcd"):
            before = frozenset(order[: order.index(player)])
            gains.append(worth[before | {player}] - worth[before])
        assert found[player] == pytest.approx(np.mean(gains))
    everyone = worth[frozenset("abcd")] - worth[frozenset()]
    assert sum(found.values()) == pytest.approx(everyone)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_moved_mechanism_has_the_density_it_is_drawn_of(name: str) -> None:
    """Shares for the binary ones; for the others the mean and variance of the density."""
    domain = Domain(**MOVED[name])
    data = study.drawn(by_column(name, domain), 100_000, np.random.default_rng(0))
    for g in (0, 1):
        for y in (0, 1):
            here = data[(data[:, 0] == g) & (data[:, 1] == y)]
            if name in ("G", "Y"):
                chance = np.exp(study.log_density(name, domain, here[:1])).item()
                of = data if name == "G" else data[data[:, 0] == g]
                share = (of[:, COLUMNS.index(name)] == here[0, COLUMNS.index(name)]).mean()
                assert share == pytest.approx(chance, abs=0.006)
                continue

            def density(at: float, g: int = g, y: int = y) -> float:
                row = np.full((1, 5), at)
                row[0, :2] = g, y
                return np.exp(study.log_density(name, domain, row)).item()

            moments = [quad(lambda x, k=k: x**k * density(x), -9, 14)[0] for k in range(3)]
            values = here[:, COLUMNS.index(name)]
            assert moments[0] == pytest.approx(1, abs=1e-6)
            assert values.mean() == pytest.approx(moments[1], abs=0.06)
            assert np.square(values).mean() == pytest.approx(moments[2], rel=0.08)


def test_draw_0_is_drawn_as_the_notebook_draws() -> None:
    """Its lines, one after another, from RandomState(0)."""
    random = np.random.RandomState(0)
    n = 1000
    g = random.random(size=(n, 1)) >= 0.5
    y = np.logical_xor(g, random.random(size=(n, 1)) >= 0.9)
    flips = [random.random(size=(n, 1)) <= 0.25 for _ in range(3)]
    x1 = random.normal(loc=1.0 * np.logical_xor(y, flips[0]))
    x2 = random.normal(loc=np.logical_xor(y, flips[1]) + g)
    x3 = random.normal(loc=np.logical_xor(y, flips[2]) + 3 * g)
    found = study.drawn(dict.fromkeys(COLUMNS, Domain()), n, np.random.RandomState(0))
    np.testing.assert_array_equal(found, np.concatenate([g, y, x1, x2, x3], 1))


def test_exact_ratios_of_what_has_not_moved_are_one_and_truth_adds_up(tmp_path) -> None:
    task = make(tmp_path, "task.moved=[Y,X3]", "task.ratios=exact", "task.rounds=20")
    (train, source), (there, _) = task.domains()
    assert len(train) == 3000
    assert len(source) == 1000
    weights = task.weights(train, there, source)
    for name in ("G", "X1", "X2"):
        np.testing.assert_allclose(weights[name], 1)
    agree = source[:, 0] == source[:, 1]
    np.testing.assert_allclose(weights["Y"], np.where(agree, 0.1 / 0.9, 0.9 / 0.1))
    found = task.measure()
    change = found["brier"]["target"] - found["brier"]["source"]
    assert sum(found["truth"].values()) == pytest.approx(change, abs=0.05)
    assert sum(found["scaled"].values()) == pytest.approx(change)
    assert found["phi"]["G"] == pytest.approx(0, abs=1e-12)
    assert 0 < found["weights"]["effective"] < 0.5


def test_mechanisms_are_named_once(tmp_path) -> None:
    with pytest.raises(BadRequest, match="each once"):
        make(tmp_path, "task.moved=[Y,Y]")
