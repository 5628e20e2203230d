"""Studies of theory against sums, programs and enumerations written here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.stats import norm
from sklearn.linear_model import Lasso

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.studies.pruning_compression import matmul_quantisation
from ppr.studies.theory_numerics import _convex_relu, icl_finetuning
from ppr.studies.theory_numerics._subleq import Machine, interpret
from ppr.studies.theory_numerics.looped_programs import adder, multiplier, random_program
from ppr.studies.zero_shot_attributes import zsl_bound
from ppr.studies.zero_shot_attributes.zsl_confusion import likelihoods


def metrics(*words: str) -> dict[str, dict[str, float]]:
    return dict(execute(compose([f"experiment={words[0]}", *words[1:]]), Watcher())["metrics"])


# In-context learning of linear attention


def test_prediction_is_the_last_entry_of_linear_attention() -> None:
    """Z + (1/n) (Z Q Z^T) Z V^T, as matrices, its query row's last entry."""
    random = torch.Generator().manual_seed(0)
    Q, V = torch.randn(2, 5, 5, generator=random, dtype=torch.float64)
    tasks = torch.randn(4, 3, generator=random, dtype=torch.float64)
    for shots in (0, 6):
        prompts, target = icl_finetuning.draw(tasks, shots, random)
        for Z, found, task, y in zip(
            prompts, icl_finetuning.predict(prompts, Q, V[-1]), tasks, target, strict=True
        ):
            whole = Z + (Z @ Q @ Z.T) @ Z @ V.T / max(shots, 1)
            assert found == pytest.approx(whole[-1, -1].item())
            assert (Z[:, 0] == 1).all()
            assert Z[-1, -1] == 0
            assert torch.allclose(Z[:-1, -1], Z[:-1, 1:-1] @ task)
            assert y == pytest.approx((Z[-1, 1:-1] @ task).item())


@pytest.mark.parametrize("parameters", ["pretrained", "value", "all"])
@pytest.mark.parametrize(("d", "m"), [(2, 4), (5, 20)])
def test_errors_meet_their_closed_forms(parameters: str, d: int, m: int) -> None:
    words = (f"task.parameters={parameters}", f"task.dim={d}", f"task.demonstrations={m}")
    found = metrics("icl_finetuning", *words, "task.prompts=20000")
    assert found["measured"] == pytest.approx(found["theory"], rel=0.1, abs=1e-20)


def test_training_the_value_matrix_leaves_the_rest() -> None:
    words = (
        "task.train=true",
        "task.parameters=value",
        "task.steps=60",
        "task.prompts=4000",
        "task.lr=0.03",
    )
    found = metrics("icl_finetuning", *words, "task.dim=2", "task.lr=0.03", "task.batch=64")
    assert found["measured"] == pytest.approx(found["theory"], abs=0.08)
    words = ("task.train=true", "task.auxiliary=true", "task.parameters=all")
    free = metrics("icl_finetuning", *words, "task.steps=2", "task.prompts=10")
    assert free["theory"] == {}


# Zero-shot learning


def program_of_sums(A: np.ndarray) -> float:
    """The bound, its program written with one loop an inequality."""
    k, m = A.shape
    vectors = list(itertools.product((0, 1), repeat=m))
    size = len(vectors)
    below, equal, right = [], [], []
    for y, a in itertools.product(range(k), range(size)):
        row = np.zeros((k + 1) * size)
        row[y * size + a], row[k * size + a] = 1, -1
        below.append(row)
    for y in range(k):
        row = np.zeros((k + 1) * size)
        row[y * size : (y + 1) * size] = 1
        equal.append(row)
        right.append(1 / k)
        for j in range(m):
            row = np.zeros((k + 1) * size)
            row[y * size : (y + 1) * size] = [vector[j] for vector in vectors]
            equal.append(row)
            right.append(A[y, j] / k)
    cost = np.r_[np.zeros(k * size), np.ones(size)]
    found = linprog(cost, np.array(below), np.zeros(k * size), np.array(equal), right)
    return 1 - float(found.fun)


@pytest.mark.parametrize(("k", "m"), [(2, 3), (3, 2), (4, 3)])
def test_bound_is_that_of_the_program(k: int, m: int) -> None:
    A = np.random.default_rng(k).random((k, m))
    bound, laws, mapped = zsl_bound.adversary(A)
    assert bound == pytest.approx(program_of_sums(A), abs=1e-9)
    assert bound == pytest.approx(1 - (laws / k).max(0).sum(), abs=1e-9)
    vectors = zsl_bound.attribute_vectors(m)
    assert laws @ vectors == pytest.approx(A, abs=1e-9)
    assert mapped.sum(0) == pytest.approx(np.ones(2**m), abs=1e-9)
    assert mapped.min() > -1e-12
    # Under those laws no map errs less, and under its own worst laws the map errs no more.
    assert 1 - (mapped * laws).sum() / k == pytest.approx(bound, abs=1e-9)
    assert zsl_bound.worst_error(A, mapped) == pytest.approx(bound, abs=1e-9)


def test_two_classes_have_a_closed_form() -> None:
    for A in np.random.default_rng(1).random((5, 2, 3)):
        expected = (1 - np.abs(A[0] - A[1]).max()) / 2
        assert program_of_sums(A) == pytest.approx(expected, abs=1e-9)
        assert zsl_bound.two_class_bound(*A) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["random", "alike", "binary"])
def test_bound_study(kind: str) -> None:
    found = metrics("zsl_bound", f"task.matrices={kind}", "task.attributes=3", "task.count=3")
    assert found["measured"]["gap"] < 1e-9
    assert found["measured"]["form_gap"] < 1e-9
    if kind == "alike":
        assert found["measured"]["bound"] == pytest.approx(0.5)
    with pytest.raises(BadRequest, match="at most 2 differ"):
        metrics("zsl_bound", "task.matrices=binary", "task.attributes=1", "task.classes=3")


def test_independent_attributes_have_a_product_law() -> None:
    A = np.array([[0.2, 0.7, 0.5], [0.9, 0.0, 1.0]])
    for y, (a, vector) in itertools.product(range(2), enumerate(zsl_bound.attribute_vectors(3))):
        factors = [p if bit else 1 - p for p, bit in zip(A[y], vector, strict=True)]
        assert likelihoods(A)[y, a] == pytest.approx(math.prod(factors))


# Quantisation for products


def test_error_is_the_integral_over_cells() -> None:
    levels, rho = np.array([-1.5, -0.2, 0.4, 2.0]), 0.6

    def integrand(u: float) -> float:
        nearest = levels[np.abs(levels - u).argmin()]
        return float(norm.pdf(u) * (1 - rho**2 + rho**2 * u**2) * (u - nearest) ** 2)

    borders = [-14, *((levels[1:] + levels[:-1]) / 2), 14]
    whole = sum(quad(integrand, a, b)[0] for a, b in itertools.pairwise(borders))
    assert matmul_quantisation.error(levels, rho) == pytest.approx(whole, rel=1e-8)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_constants_are_their_integrals(rho: float) -> None:
    def weight(u: float) -> float:
        return float(norm.pdf(u) * (1 - rho**2 + rho**2 * u**2)) ** (1 / 3)

    expected = quad(weight, -20, 20)[0] ** 3 / 12
    best = matmul_quantisation.density("optimal", rho)
    assert matmul_quantisation.constant(best, rho) == pytest.approx(expected, rel=1e-5)
    if rho == 0:
        assert expected == pytest.approx(math.sqrt(3) * math.pi / 2)


@pytest.mark.parametrize("which", ["optimal", "marginal"])
def test_quantised_products_cost_what_theory_says(which: str) -> None:
    words = (f"task.density={which}", "task.rho=0.7", "task.samples=20000", "task.levels=256")
    found = metrics("matmul_quantisation", *words)
    assert found["measured"].pop("ratio") >= 0.99
    assert found["measured"] == pytest.approx(found["theory"], rel=0.06)


def test_free_levels_are_a_fixed_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul_quantisation, "LLOYD_STEPS", 2000)
    levels = matmul_quantisation.lloyd(16, 0.8)
    least = matmul_quantisation.error(levels, 0.8)
    for i, step in itertools.product(range(16), (-1e-3, 1e-3)):
        moved = levels.copy()
        moved[i] += step
        assert matmul_quantisation.error(moved, 0.8) > least
    assert levels == pytest.approx(-levels[::-1], abs=1e-6)


def test_peaks_split_at_one_over_root_three() -> None:
    for rho in (0.3, 0.57, 0.6, 0.8, 0.95):
        shape = matmul_quantisation.density("optimal", rho)
        at = abs(matmul_quantisation.GRID[shape.argmax()])
        assert matmul_quantisation.peak(rho) == pytest.approx(at, abs=1e-3)


# Looped transformers


def loose_interpreter(
    memory: dict[int, int], program: list[tuple[int, int, int]], start: int
) -> Iterator[tuple[dict[int, int], int]]:
    """SUBLEQ with a dictionary and a generator, nothing shared."""
    cells, at = dict(memory), start
    while True:
        if start <= at < start + len(program):
            a, b, c = program[at - start]
            cells[b] = cells.get(b, 0) - cells.get(a, 0)
            at = c if cells[b] <= 0 else at + 1
        yield dict(cells), at


@pytest.mark.parametrize("bits", [5, 6])
def test_machine_steps_as_the_interpreter_does(bits: int) -> None:
    machine, start = Machine(bits, 20.0), 2 ** (bits - 1)
    random = np.random.default_rng(bits)
    for make in (random_program, adder, multiplier):
        memory, program = make(random, start)
        X = machine.load(memory, program, start)
        states = loose_interpreter(memory, list(program), start)
        shared = interpret(memory, program, start, 2**bits, 20)
        for (cells, at), (values, counter) in zip(states, shared, strict=False):
            X = machine.loop(X)
            found = machine.values(X).round().int().tolist()
            assert found == [cells.get(i, 0) for i in range(2**bits)] == values
            assert machine.counter(X).item() == at == counter


def test_multiplication_needs_loops_and_no_layers() -> None:
    machine = Machine(5, 20.0)
    _, program = multiplier(np.random.default_rng(0), 16)
    X = machine.load({1: 6, 2: 7, 5: 1}, program, 16)
    for _ in range(5 * 6):
        X = machine.loop(X)
    assert machine.values(X)[3].item() == pytest.approx(42, abs=1e-3)
    assert len(machine.layers) == 3


def test_layer_is_softmax_attention_and_relus() -> None:
    layer, lam = Machine(5, 3.0).layers[1], 3.0
    X = torch.randn(32, layer.W1.shape[0], dtype=torch.float64)
    expected = X.clone()
    for head in layer.heads:
        for i in range(32):
            weights = torch.stack([lam * (X[i] @ head.Q) @ (head.K.T @ X[j]) for j in range(32)])
            weights = (weights - weights.max()).exp()
            expected[i] += (weights / weights.sum()) @ X @ head.V
    expected = expected + (expected @ layer.W1).clamp(min=0) @ layer.W2
    assert torch.allclose(layer(X, lam), expected, atol=1e-9)


@pytest.mark.parametrize("columns", [2, 16, 64])
def test_pointer_weights(columns: int) -> None:
    found = metrics("looped_pointer", f"task.columns={columns}", "task.lam=1.5")
    bits = columns.bit_length() - 1
    right = 1 / sum(math.comb(bits, k) * math.exp(-3 * k) for k in range(bits + 1))
    assert found["measured"]["wrong"] == pytest.approx(1 - right)
    assert found["theory"]["wrong"] == pytest.approx(1 - right)
    assert found["measured"]["error"] <= found["theory"]["error"]
    with pytest.raises(BadRequest, match="power of two"):
        metrics("looped_pointer", "task.columns=12")


def test_programs_study() -> None:
    found = metrics("looped_programs", "task.programs=10", "task.loops=12")["measured"]
    assert found["right"] == 1
    assert 0 < found["error"] < 1e-2


# Convex relaxations of ReLU networks


def problem_of(n: int, d: int, seed: int = 0, beta: float = 0.05) -> _convex_relu.Problem:
    return _convex_relu.planted(n, d, beta, torch.Generator().manual_seed(seed))


def test_exact_program_is_what_networks_come_to() -> None:
    """A non-negative lasso over candidate units all round the circle: no cones, no Adam."""
    problem = problem_of(6, 2)
    angles = torch.linspace(0, 2 * math.pi, 1441, dtype=torch.float64)[:-1]
    units = (problem.X @ torch.stack([angles.cos(), angles.sin()])).relu()
    atoms = torch.cat([units, -units], dim=1).numpy()
    y, beta = problem.y.numpy(), problem.beta
    lasso = Lasso(alpha=beta / 6, positive=True, fit_intercept=False, tol=1e-5, max_iter=20_000)
    x = lasso.fit(atoms, y).coef_
    value = ((atoms @ x - y) ** 2).sum() / 2 + beta * x.sum()
    found = _convex_relu.exact_in_the_plane(problem)
    assert found == pytest.approx(value, rel=1e-3)
    assert found <= value * (1 + 1e-9)


def test_network_comes_to_the_exact_value() -> None:
    found = metrics("convex_relu_exact", "task.steps=400", "task.restarts=3")
    assert found["measured"]["value"] == pytest.approx(found["theory"]["value"], rel=2e-2)
    assert found["measured"]["value"] >= found["theory"]["value"] * (1 - 1e-7)


def test_lasso_has_no_better_neighbour_and_a_true_bound() -> None:
    problem = problem_of(12, 4)
    random = torch.Generator().manual_seed(1)
    g, patterns = _convex_relu.gates(problem, 30, random)
    assert torch.equal(patterns, (problem.X @ g >= 0).double())
    assert len(torch.unique(patterns, dim=1)[0]) == patterns.shape[1]
    W, value, bound = _convex_relu.gated_lasso(problem, patterns, tolerance=1e-8)

    def cost(V: torch.Tensor) -> float:
        fit = sum(patterns[:, i] * (problem.X @ V[:, i]) for i in range(V.shape[1]))
        misfit = (fit - problem.y).square().sum() / 2
        return float(misfit + problem.beta * sum(V[:, i].norm() for i in range(V.shape[1])))

    assert cost(W) == pytest.approx(value, rel=1e-12)
    assert value >= bound >= value * (1 - 1e-7)
    for _ in range(20):
        other = W + 0.01 * torch.randn(W.shape, generator=random, dtype=torch.float64)
        assert cost(other) >= bound


def test_split_weights_are_a_network() -> None:
    """Its value is that of a ReLU network of the two vectors, and no less than the relaxation's."""
    problem = problem_of(12, 4)
    g, patterns = _convex_relu.gates(problem, 30, torch.Generator().manual_seed(1))
    W, value, _ = _convex_relu.gated_lasso(problem, patterns)
    split = _convex_relu.cone_split(problem, W, g, patterns)
    assert split >= value * (1 - 1e-9)
    signed = ((2 * patterns[:, 0] - 1)[:, None] * problem.X).numpy()
    ray = g[:, 0].numpy()
    inside = _convex_relu._split(ray, ray, signed)
    assert inside == pytest.approx(np.linalg.norm(ray), rel=1e-6)
    outside = _convex_relu._split(-ray, ray, signed)
    assert outside == pytest.approx(np.linalg.norm(ray), rel=1e-6)


def test_relaxation_study() -> None:
    found = metrics("convex_relu", "task.samples=10", "task.steps=200")["measured"]
    assert found["duality_gap"] <= 1e-3
    assert found["cone_ratio"] >= found["net_ratio"] * 0.9
    assert found["net_ratio"] > 0.99
