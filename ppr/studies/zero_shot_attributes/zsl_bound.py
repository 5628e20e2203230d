"""The least error that class-attribute tables guarantee a zero-shot classifier, and its tightness.

Mazzetto et al., "Tight Lower Bounds on Worst-Case Guarantees for Zero-Shot Learning with
Attributes", NeurIPS 2022, arXiv:2205.13068. A[y, j] = P(attribute j | class y), k classes alike in
frequency; only these marginals are known of the joint laws p(a|y) of the m attributes. The error of
the best map from attributes to classes, in the worst case, is 1 less the value of

    min sum_a t_a   with  t_a >= p(a|y)/k,  p(.|y) a law,  sum_{a: a_j=1} p(a|y) = A[y, j]

a linear program of (k + 1) 2^m variables, as in the authors' code (BatsResearch/
mazzetto-neurips22-code: models/Q/adversarial_helper.py). The multipliers of its first constraints
are a randomised map g(y|a), whose worst case attains the bound: that is computed here on its own,
a linear program a class, min sum_a g(y|a) p(a|y).

Closed forms: two classes have (1 - max_j |A[1,j] - A[2,j]|)/2 (derived), classes alike 1 - 1/k,
different rows of zeros and ones 0.

Metrics over `count` matrices: `measured/error`, the map's worst error, and `theory/error`, the
program's bound, on average; `measured/bound`, that same bound, against `theory/bound`, the closed
form where there is one; `measured/gap` and `measured/form_gap`, the largest differences of the
two pairs.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import block_diag, csr_matrix, eye, hstack, kron

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.errors import BadRequest, RunFailed
from ppr.fields import Annotated, Count, Ge, Literal
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]


def attribute_vectors(m: int) -> Array:
    """All 2^m vectors of m attributes. [2^m, m]"""
    return np.array(list(itertools.product((0.0, 1.0), repeat=m)))


def _marginals(row: Array) -> tuple[Array, Array]:
    """What p(.|y) must meet: its sum, and the class's attributes. [1 + m, 2^m], [1 + m]"""
    vectors = attribute_vectors(len(row))
    return np.vstack([np.ones(len(vectors)), vectors.T]), np.concatenate([[1.0], row])


def _solve(**program: object) -> tuple[float, Array, object]:
    found = linprog(method="highs", **program)
    if not found.success:
        raise RunFailed(f"linear program: {found.message}")
    return float(found.fun), found.x, found


def adversary(A: Array) -> tuple[float, Array, Array]:
    """The bound, the laws p(a|y) [k, 2^m] that attain it, and the map g(y|a) [k, 2^m]."""
    k, m = A.shape
    size = 2**m
    rows = [_marginals(row) for row in A]
    free = csr_matrix((k * (1 + m), size))
    equal = hstack([block_diag([matrix for matrix, _ in rows]), free], format="csr")
    # p(a|y)/k - t_a <= 0, for every y and a.
    below = hstack([eye(k * size) / k, -kron(np.ones((k, 1)), eye(size))], format="csr")
    cost = np.concatenate([np.zeros(k * size), np.ones(size)])
    value, x, found = _solve(
        c=cost,
        A_ub=below,
        b_ub=np.zeros(k * size),
        A_eq=equal,
        b_eq=np.concatenate([right for _, right in rows]),
        # t without a bound of its own: or the map's columns would not add up to 1.
        bounds=[(0, None)] * (k * size) + [(None, None)] * size,
    )
    laws, mapped = x[: k * size].reshape(k, size), -found.ineqlin.marginals.reshape(k, size)  # type: ignore[attr-defined]
    return 1 - value, laws, mapped


def worst_error(A: Array, mapped: Array) -> float:
    """The error of a randomised map g(y|a) [k, 2^m] under the worst laws for it."""
    right = 0.0
    for row, chosen in zip(A, mapped, strict=True):
        matrix, given = _marginals(row)
        value, _, _ = _solve(c=chosen, A_eq=matrix, b_eq=given, bounds=(0, None))
        right += value / len(A)
    return 1 - right


def two_class_bound(first: Array, second: Array) -> float:
    return float(1 - np.abs(first - second).max()) / 2


@component("task")
class ZSLBound(Study):
    """
    Raises:
        BadRequest: more classes than there are different rows of zeros and ones.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        classes: Annotated[int, Ge(2)] = 2,
        attributes: Count = 4,
        matrices: Literal["random", "alike", "binary"] = "random",
        count: Count = 40,
    ) -> None:
        super().__init__(bench)
        if matrices == "binary" and classes > 2**attributes:
            raise BadRequest(f"task.classes={classes}: at most {2**attributes} differ")
        self.shape = classes, attributes
        self.matrices, self.count = matrices, count

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "attributes"))
        drawn = [self._draw(random) for _ in range(self.count)]
        solved = [adversary(A) for A in drawn]
        bounds = np.array([bound for bound, _, _ in solved])
        errors = np.array([worst_error(A, g) for A, (_, _, g) in zip(drawn, solved, strict=True)])
        measured = {
            "error": float(errors.mean()),
            "bound": float(bounds.mean()),
            "gap": float(np.abs(errors - bounds).max()),
        }
        theory = {"error": float(bounds.mean())}
        if self.matrices != "random" or self.shape[0] == 2:
            forms = np.array([self._closed_form(A) for A in drawn])
            measured["form_gap"] = float(np.abs(bounds - forms).max())
            theory["bound"] = float(forms.mean())
        return {"measured": measured, "theory": theory}

    def _draw(self, random: np.random.Generator) -> Array:
        k, m = self.shape
        if self.matrices == "binary":
            return attribute_vectors(m)[random.permutation(2**m)[:k]]
        if self.matrices == "alike":
            return np.tile(random.random(m), (k, 1))
        return random.random((k, m))

    def _closed_form(self, A: Array) -> float:
        if self.matrices == "binary":
            return 0.0
        return 1 - 1 / len(A) if self.matrices == "alike" else two_class_bound(A[0], A[1])
