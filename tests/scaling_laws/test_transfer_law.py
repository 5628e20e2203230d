"""The transfer law: its parameters found again, and its fit beside another optimizer's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import huber

from ppr.studies.scaling_laws.transfer_law import DELTA, DOMAINS, TOKENS, fit_transfer, loss


def test_parameters_are_found_again() -> None:
    truth = np.array([1.1, 0.2, 1.2])
    losses = loss(truth, TOKENS, 0.3)
    assert losses[1] == pytest.approx(1.1 * (0.33 + 0.2) ** -0.3 + 1.2)
    found, cost = fit_transfer(TOKENS, losses, 0.3)
    assert found == pytest.approx(truth, rel=1e-3)
    assert cost < 1e-12


@pytest.mark.parametrize("name", DOMAINS)
def test_the_fit_is_no_worse_than_another_optimizers_from_the_printed_one(name: str) -> None:
    domain = DOMAINS[name]
    losses = np.array(domain.losses)

    def cost(p: np.ndarray) -> float:
        return 1e6 * float(huber(DELTA, loss(p, TOKENS, domain.beta) - losses).sum())

    start = np.array([domain.c, domain.transfer, domain.e])
    other = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12})
    found, least = fit_transfer(TOKENS, losses, domain.beta)
    assert 1e6 * least == pytest.approx(cost(found), rel=1e-6)
    assert 1e6 * least <= other.fun * (1 + 1e-5)
