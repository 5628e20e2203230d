"""Contrastive risk measures how sufficient an encoder is: on finite alphabets, both are known.

Lin and Mei, "A Statistical Theory of Contrastive Learning via Approximate Sufficient Statistics",
arXiv:2503.17538, in the form of KL divergence. For two views x, z and an encoder f:

    Suff(f) = I(x; z) - I(f(x); z)
    R_K(f)  = -E log( e^{S(x,z)} / (e^{S(x,z)} + sum_{k<K} e^{S(x,z_k)}) ),  S = log p(z|f(x))/p(z)

with K-1 negatives z_k drawn from p(z). The excess risk R_K(f) - R_K(identity) goes to Suff(f) as K
grows. The joint is drawn at random: `classes` latent classes, x given the class, and z given x from
0.6 parts of what its class has in common and 0.4 of its own. Encoders are maps to as many symbols
as classes: the likeliest class of x, and random ones. R_K is a mean over `draws` samples, the same
for every encoder, with the negatives drawn as one multinomial count each.

Metrics: `measured/excess` and `theory/excess`, the mean over the encoders of the excess risk and of
Suff; `measured/error`, the largest |excess risk - Suff| of an encoder.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Ge
from ppr.registry import component
from ppr.studies.study import Study

Array = NDArray[np.float64]
COMMON = 0.6
"""The part of z's law that x's class decides."""


def mutual_information(joint: Array) -> float:
    """I of two variables [A, B] in nats."""
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / independent[some])).sum())


def encoded(joint: Array, encoder: NDArray[np.int64]) -> Array:
    """The joint [M, B] of f(x) and another, from that of x [A, B]."""
    result = np.zeros((encoder.max() + 1, *joint.shape[1:]))
    np.add.at(result, encoder, joint)
    return result


@component("task")
class Sufficiency(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        candidates: Annotated[int, Ge(2)] = 256,
        symbols: Annotated[int, Ge(4)] = 12,
        classes: Annotated[int, Ge(2)] = 3,
        encoders: Count = 30,
        draws: Count = 20000,
    ) -> None:
        super().__init__(bench)
        self.candidates = candidates
        self.symbols, self.classes, self.encoders = symbols, classes, encoders
        self.draws = draws

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "joint"))
        excess, suff = self._risks(random)
        measured = {
            "excess": float(excess.mean()),
            "error": float(np.abs(excess - suff).max()),
        }
        return {"measured": measured, "theory": {"excess": float(suff.mean())}}

    def _risks(self, random: np.random.Generator) -> tuple[Array, Array]:
        """Each encoder's excess risk and Suff."""
        A, m = self.symbols, self.classes
        with_class = random.dirichlet(np.ones(A), m).T / m  # p(x, y)
        p_x = with_class.sum(1)
        of_class = (with_class / p_x[:, None]) @ random.dirichlet(np.ones(A), m)
        joint = p_x[:, None] * (COMMON * of_class + (1 - COMMON) * random.dirichlet(np.ones(A), A))
        maps = [with_class.argmax(1), *random.integers(0, m, (self.encoders, A)), np.arange(A)]
        p_z = joint.sum(0)
        xz = random.choice(A * A, self.draws, p=joint.ravel() / joint.sum())
        x, z = np.divmod(xz, A)
        counts = random.multinomial(self.candidates - 1, p_z / p_z.sum(), self.draws)
        risks, suff = [], []
        for encoder in maps:
            pushed = encoded(joint, encoder)
            mass = pushed.sum(1, keepdims=True)
            # A symbol that no x is sent to is never looked up.
            ratio = np.divide(pushed, mass * p_z, out=np.ones_like(pushed), where=mass > 0)
            scores = ratio[encoder[x]]
            matched = scores[np.arange(len(x)), z]
            risks.append(np.log1p((counts * scores).sum(1) / matched).mean())
            suff.append(mutual_information(joint) - mutual_information(pushed))
        return np.array(risks[:-1]) - risks[-1], np.array(suff[:-1])
