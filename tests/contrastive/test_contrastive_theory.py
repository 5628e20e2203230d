"""Closed forms of contrastive optima against minimisation and sums written here, nothing shared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from ppr import build
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.losses import _partition
from ppr.studies.contrastive.ccem import lowest_negative, optimal_positive
from ppr.studies.contrastive.class_collapse import collapse_threshold, variances, within_variance
from ppr.studies.contrastive.free_embeddings import (
    minimise,
    pair_similarities,
    random_sphere,
    simplex,
)
from ppr.studies.contrastive.minibatch_optimum import batch_losses, family
from ppr.studies.contrastive.negative_variance import batch_negative
from ppr.studies.contrastive.similarity_bound import double_constant, slack
from ppr.studies.contrastive.thresholds import Optimum, reach
from ppr.studies.theory_numerics.sufficiency import encoded, mutual_information

TWO_TOWER = ("infonce", "siglip", "vrn")


def metrics(*words: str) -> dict[str, dict[str, float]]:
    return dict(execute(compose(words), Watcher())["metrics"])


def towers(samples: int = 9, dim: int = 5) -> tuple[Tensor, Tensor]:
    a, b = torch.randn(2, samples, dim, generator=torch.Generator().manual_seed(4)).double()
    return a.requires_grad_(), b.requires_grad_()


# The two-tower losses


def infonce_of(a: Tensor, b: Tensor, t: float) -> Tensor:
    s = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T / t
    target = torch.arange(len(s))
    both = [torch.nn.functional.cross_entropy(x, target) for x in (s, s.T)]
    return (both[0] + both[1]) / 2


def siglip_of(a: Tensor, b: Tensor, t: Tensor, bias: Tensor) -> Tensor:
    s = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T
    signs = 2 * torch.eye(len(s), dtype=s.dtype) - 1
    return torch.nn.functional.softplus(-signs * (t * s + bias)).sum() / len(s)


def vrn_of(a: Tensor, b: Tensor) -> Tensor:
    s = torch.nn.functional.normalize(a, dim=1) @ torch.nn.functional.normalize(b, dim=1).T
    return infonce_of(a, b, 0.2) + 30 * (s[~torch.eye(len(s)).bool()] + 1 / 50000).square().mean()


DENSE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "infonce": lambda a, b: infonce_of(a, b, 0.07),
    "siglip": lambda a, b: siglip_of(a, b, torch.tensor(10.0), torch.tensor(-10.0)),
    "vrn": vrn_of,
}


@pytest.mark.parametrize("name", TWO_TOWER)
@pytest.mark.parametrize("rows", [1, 4, 64])
def test_two_tower_gradients_of_both_towers_in_strips(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_partition, "MIN_ROWS", rows)
    monkeypatch.setattr(_partition, "STRIP_ELEMENTS", {"cpu": 1})
    a, b = towers()
    found = torch.autograd.grad(build("loss", name)(a, b), (a, b))
    torch.testing.assert_close(found, torch.autograd.grad(DENSE[name](a, b), (a, b)))


@pytest.mark.parametrize("name", TWO_TOWER)
def test_two_tower_losses_refuse_other_shapes(name: str) -> None:
    with pytest.raises(ValueError, match="expected two of one shape \\[N, D\\]"):
        build("loss", name)(torch.ones(3, 2), torch.ones(2, 2))
    with pytest.raises(ValueError, match="expected two of one shape \\[N, D\\]"):
        build("loss", name)(torch.ones(3, 2, 2), torch.ones(3, 2, 2))


def test_siglip_learns_temperature_and_bias() -> None:
    a, b = towers()
    loss = build("loss", "siglip", learnable=True).double()
    log_t, bias = loss.log_temperature, loss.bias
    assert log_t.item() == pytest.approx(math.log(10))
    found = torch.autograd.grad(loss(a, b), (log_t, bias))
    expected = torch.autograd.grad(siglip_of(a, b, log_t.exp(), bias), (log_t, bias))
    torch.testing.assert_close(found, expected)


def test_siglip_memory_is_linear() -> None:
    """What is kept for the backward pass: embeddings, never a matrix of all pairs."""
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: kept.append(x.numel()) or x, lambda x: x
    ):
        a, b = towers(samples=300, dim=4)
        build("loss", "siglip")(a, b).backward()
    assert max(kept) <= 300 * 5


# The sigmoid loss's optimum


def ccem_value(s: float, N: int, t: float, b: float) -> float:
    matched = math.log1p(math.exp(-(t * s - b)))
    return matched + (N - 1) * math.log1p(math.exp(t * lowest_negative(s, N) - b))


@pytest.mark.parametrize(
    ("N", "t", "b"), [(5, 0.3, 0.3), (10, 1, 1), (10, 1.5, 1.5), (20, 2, 2), (10, 2, 1), (7, 1, 0)]
)
def test_optimal_positive_minimises_the_model(N: int, t: float, b: float) -> None:
    found = minimize_scalar(
        lambda s: ccem_value(s, N, t, b), bounds=(-1, 1), method="bounded", options={"xatol": 1e-9}
    )
    assert optimal_positive(N, t, b) == pytest.approx(found.x, abs=2e-6)


@pytest.mark.parametrize("N", [5, 10, 20])
def test_optimum_changes_at_the_thresholds(N: int) -> None:
    antipodal, full = math.log((N - 2) / 2) / 2, (N - 1) / N * math.log(N - 3)
    assert optimal_positive(N, antipodal - 1e-6, antipodal - 1e-6) == -1
    assert -1 < optimal_positive(N, antipodal + 1e-6, antipodal + 1e-6) < -0.999
    assert 0.999 < optimal_positive(N, full - 1e-6, full - 1e-6) < 1
    assert optimal_positive(N, full + 1e-6, full + 1e-6) == 1


def test_free_embeddings_reach_the_optimum_by_scipy_too() -> None:
    """The same minimum from another minimiser, with the loss as a dense expression."""
    N, t = 6, 0.7
    tensor = torch.tensor(t)

    def value(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        z = torch.tensor(x).view(2, N, N).requires_grad_()
        loss = siglip_of(z[0], z[1], tensor, -tensor)
        (grad,) = torch.autograd.grad(loss, z)
        return loss.item(), grad.numpy().ravel()

    start = random_sphere(2, N, N, seed=1, purpose="test").numpy().ravel()
    z = torch.tensor(minimize(value, start, jac=True, options={"gtol": 1e-9}).x).view(2, N, N)
    u, v = torch.nn.functional.normalize(z, dim=-1)
    assert pair_similarities(u, v)["positive"] == pytest.approx(optimal_positive(N, t, t), abs=1e-5)


@pytest.mark.parametrize("t", [0.5, 1.0, 2.0])
def test_ccem_study_meets_its_theory(t: float) -> None:
    words = ("experiment=ccem_optimum", f"loss.temperature={t}", f"loss.bias={-t}")
    found = metrics(*words, "task.pairs=6")
    assert found["measured"] == pytest.approx(found["theory"], abs=1e-5)


def test_infonce_is_a_simplex() -> None:
    found = metrics("experiment=ccem_infonce", "task.pairs=5", "loss.temperature=0.5")
    assert found["measured"]["positive"] == pytest.approx(1, abs=1e-9)
    assert found["measured"]["negative"] == pytest.approx(-1 / 4, abs=1e-9)


def test_ccem_refuses_losses_without_a_formula() -> None:
    with pytest.raises(BadRequest, match="must be infonce, or siglip"):
        metrics("experiment=ccem_optimum", "loss.learnable=true")


def test_threshold_study_meets_its_theory() -> None:
    found = metrics("experiment=ccem_threshold", "task.pairs=6")
    assert found["measured"] == pytest.approx(found["theory"], rel=1e-4)


def test_reach_extrapolates_and_notices_a_step_too_far() -> None:
    here = torch.zeros(1)
    inside = Optimum(0.5, 1.5**2 - 1, here)
    end = reach(lambda t, x: Optimum(t, (2 - t) ** 2 - 1, x), inside, 0.02, 0.0)
    assert end == pytest.approx(1, abs=1e-4)
    with pytest.raises(RunFailed, match="stepped over"):
        reach(lambda t, x: Optimum(t, 0.0, x), Optimum(0.0, 1.0, here), 0.1, 0.0)


def test_minimise_refuses_a_loss_that_is_not_finite() -> None:
    with pytest.raises(RunFailed, match="the loss is nan"):
        minimise(lambda x: (x.sum() - 100).log(), random_sphere(3, 2, seed=0, purpose="t"), 5)


# Mini-batches


@pytest.mark.parametrize("name", ["full", "all", "all_but_one", "half", "partition", "design"])
def test_batch_losses_are_those_of_their_embeddings(name: str) -> None:
    u, v = random_sphere(2, 8, 5, seed=0, purpose="batches")
    batches = family(name, 8, 4, torch.Generator().manual_seed(0))
    expected = [2 * infonce_of(u[list(b)], v[list(b)], 1.0) for b in batches.tolist()]
    torch.testing.assert_close(batch_losses(u @ v.T, batches), torch.stack(expected))


def test_design_has_every_pair_equally_often() -> None:
    blocks = family("design", 8, 4, torch.Generator()).tolist()
    together = [
        sum(i in b and j in b for b in blocks) for i, j in itertools.combinations(range(8), 2)
    ]
    assert (len(blocks), set(together)) == (14, {3})


@pytest.mark.parametrize("words", [("all",), ("design", "task.batch=4"), ("partition",), ("full",)])
def test_minibatch_optimum_meets_its_theory(words: tuple[str, ...]) -> None:
    found = metrics("experiment=minibatch_optimum", f"task.batches={words[0]}", *words[1:])
    for name, value in found["theory"].items():
        assert found["measured"][name] == pytest.approx(value, abs=1e-5)


def test_cross_polytope_is_the_optimum_in_half_the_dimensions() -> None:
    found = metrics("experiment=minibatch_optimum", "task.batches=full", "task.dim=4")
    assert found["measured"]["full_loss"] == pytest.approx(2.4135, abs=5e-5)
    assert found["measured"]["distance"] < 1e-5


def test_batches_chosen_by_loss_get_nearer_in_as_many_updates() -> None:
    words = ("experiment=batch_selection", "task.cap=120", "task.pairs=8", "task.lr=0.1")
    away = {
        how: metrics(*words, f"task.select={how}")["measured"]["distance"]
        for how in ("shuffle", "ordered", "spectral")
    }
    assert away["ordered"] < away["shuffle"]


@pytest.mark.parametrize("task", ["minibatch_optimum task.batches=partition", "batch_selection"])
def test_batches_must_divide_the_pairs(task: str) -> None:
    experiment, *words = task.split()
    with pytest.raises(BadRequest, match=r"task\.batch=3: must divide task\.pairs=8"):
        metrics(f"experiment={experiment}", *words, "task.pairs=8", "task.batch=3")


# The variance of negatives


@pytest.mark.parametrize("delta", [0.0, 0.3, 4.0])
def test_double_constant_embeddings_have_two_cosines(delta: float) -> None:
    u, v = double_constant(6, delta)
    s = (1 - delta**2) / (1 + delta**2)
    off = lowest_negative(s, 6)
    expected = torch.full((6, 6), off, dtype=torch.float64).fill_diagonal_(s)
    torch.testing.assert_close(u @ v.T, expected)
    assert slack(u, v).item() == pytest.approx(0, abs=1e-14)


def test_slack_is_the_sum_over_pairs() -> None:
    u, v = random_sphere(2, 5, 3, seed=0, purpose="slack")
    cosines = (u @ v.T).tolist()
    s = sum(cosines[i][i] for i in range(5)) / 5
    rest = sum(cosines[i][j] for i in range(5) for j in range(5) if i != j) / 20
    assert slack(u, v).item() == pytest.approx(rest - (3 * s - 5) / 8, abs=1e-14)


@pytest.mark.parametrize("batch", [2, 4, 8])
@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0, 15.0])
def test_batch_negative_minimises_its_loss(batch: int, weight: float) -> None:
    def value(c: float) -> float:
        return math.log1p((batch - 1) * math.exp(c - 1)) + weight * (c + 1 / 15) ** 2

    least = -1 / (batch - 1)
    found = minimize_scalar(value, bounds=(least, 1), method="bounded", options={"xatol": 1e-10})
    assert batch_negative(batch, 1.0, weight, -1 / 15) == pytest.approx(found.x, abs=1e-6)


def test_negative_variance_meets_its_theory() -> None:
    for words in (("loss.weight=0.0",), ("loss.weight=3.0", "task.batch=2")):
        found = metrics("experiment=negative_variance", *words, "task.pairs=8", "task.dim=16")
        assert found["measured"] == pytest.approx(found["theory"], rel=1e-4)
    bare = metrics("experiment=negative_variance", "loss=infonce", "loss.temperature=1.0")
    assert bare["measured"]["variance"] == pytest.approx(12 / (15**2 * 3), rel=1e-6)


# Class collapse


@pytest.mark.parametrize(("m", "n"), [(2, 3), (4, 5)])
@pytest.mark.parametrize("t", [0.5, 1.0])
@pytest.mark.parametrize("alpha", [0.2, 0.6, 0.8, 1.0])
def test_within_variance_minimises_the_loss_of_the_model(
    m: int, n: int, t: float, alpha: float
) -> None:
    """The loss of simplex-to-simplex embeddings themselves, built here, over w."""
    loss = build("loss", "supcl", alpha=alpha, temperature=t)
    labels = torch.arange(m).repeat_interleave(n)
    between, inside = torch.linalg.cholesky(simplex(m) + 1e-12 * torch.eye(m)), simplex(n)
    inside = torch.linalg.cholesky(inside + 1e-12 * torch.eye(n))

    def value(w: float) -> float:
        rows = []
        for k, i in itertools.product(range(m), range(n)):
            own = torch.zeros(m, n, dtype=torch.float64)
            own[k] = math.sqrt(w) * inside[i]
            rows.append(torch.cat([math.sqrt(1 - w) * between[k], own.flatten()]))
        z = torch.stack(rows)[:, None].expand(-1, 2, -1)
        return float(loss(z, labels))

    widest = m * (n - 1) / (m * n - 1)
    found = minimize_scalar(value, bounds=(0, widest), method="bounded", options={"xatol": 1e-9})
    assert within_variance(m, n, alpha, t) == pytest.approx(found.x, abs=1e-4)


def test_collapse_threshold_is_where_the_variance_begins() -> None:
    for m, n, t in ((2, 3, 1.0), (2, 3, 0.5), (10, 64, 0.5)):
        alpha = collapse_threshold(m, n, t)
        assert within_variance(m, n, alpha - 1e-6, t) == 0
        assert within_variance(m, n, alpha + 1e-4, t) > 0
    assert collapse_threshold(10, 64, 1.0) == pytest.approx(0.8334, abs=5e-5)


def test_variances_add_up() -> None:
    z = random_sphere(6, 2, 4, seed=0, purpose="v")
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    found = variances(z, labels)
    flat = z.flatten(0, 1)
    assert found["total"] == pytest.approx((flat - flat.mean(0)).square().sum(1).mean().item())


@pytest.mark.parametrize("alpha", [0.3, 0.7])
def test_class_collapse_meets_its_theory(alpha: float) -> None:
    found = metrics("experiment=class_collapse", f"loss.alpha={alpha}")
    assert found["measured"] == pytest.approx(found["theory"], abs=1e-5)


def test_collapse_threshold_study_meets_its_theory() -> None:
    found = metrics("experiment=collapse_threshold")
    assert found["measured"] == pytest.approx(found["theory"], rel=1e-4)


# The geometry of class means


def test_relu_makes_an_orthogonal_frame_of_imbalanced_classes() -> None:
    words = ("experiment=scl_geometry", "task.counts=[12,12,3,3]", "task.dim=8")
    assert metrics(*words)["measured"]["distance"] < 1e-3
    bare = metrics(*words, "task.relu=false")["measured"]
    assert bare["distance"] > 0.3
    assert bare["asymmetry"] > 0.1


def test_equal_classes_without_relu_are_a_simplex() -> None:
    words = ("experiment=scl_geometry", "task.counts=[4,4,4,4]", "task.relu=false")
    gram = simplex(4)
    flat = gram / gram.norm() - torch.eye(4) / 2
    assert metrics(*words)["measured"]["distance"] == pytest.approx(flat.norm().item(), abs=1e-6)


def test_binding_batches_restores_the_frame() -> None:
    words = ("experiment=scl_geometry", "task.counts=[4,4,4,4]", "task.batches=apart")
    assert metrics(*words)["measured"]["distance"] > 0.05
    assert metrics(*words, "task.bind=true")["measured"]["distance"] < 1e-3


# Gradients and sufficiency


@pytest.mark.parametrize("t", [0.05, 1.0])
def test_gradient_identities(t: float) -> None:
    found = metrics("experiment=contrastive_gradients", f"loss.temperature={t}")["measured"]
    for name in ("gradient_error", "balance_error", "penalty_error"):
        assert found[name] < 1e-11


def test_gradients_by_loops() -> None:
    """dL/ds_ij of one anchor by finite differences, as (a) of the study says."""
    s, t, h = [0.3, -0.2, 0.8, 0.1], 0.5, 1e-6

    def value(s: list[float]) -> float:
        return -s[0] / t + math.log(sum(math.exp(x / t) for x in s))

    shares = [math.exp(x / t) for x in s]
    P = [x / sum(shares) for x in shares]
    for j in range(4):
        moved = [[x + sign * h * (k == j) for k, x in enumerate(s)] for sign in (1, -1)]
        slope = (value(moved[0]) - value(moved[1])) / (2 * h)
        assert slope == pytest.approx(P[j] / t if j else -sum(P[1:]) / t, abs=1e-8)


def test_mutual_information_by_loops() -> None:
    joint = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(4, 3)
    p, q = joint.sum(1), joint.sum(0)
    cells = [
        joint[i, j] * math.log(joint[i, j] / (p[i] * q[j])) for i in range(4) for j in range(3)
    ]
    assert mutual_information(joint) == pytest.approx(sum(cells), rel=1e-12)
    assert mutual_information(np.outer(p, q)) == pytest.approx(0, abs=1e-15)
    merged = encoded(joint, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(merged, [joint[0] + joint[2], joint[1] + joint[3]])
    assert mutual_information(merged) <= mutual_information(joint)


def test_excess_risk_is_near_the_sufficiency_gap() -> None:
    words = ("experiment=sufficiency", "task.candidates=256", "task.draws=5000")
    found = metrics(*words, "task.encoders=5")
    assert found["measured"]["error"] < 0.02
    assert found["measured"]["excess"] == pytest.approx(found["theory"]["excess"], abs=0.01)


@pytest.mark.parametrize("through", [0.0, 0.5, 1.0])
def test_sufficiency_bound_holds(through: float) -> None:
    words = ("experiment=sufficiency_bound", "task.joints=5", f"task.through={through}")
    assert metrics(*words)["measured"]["slack"] >= -1e-12
