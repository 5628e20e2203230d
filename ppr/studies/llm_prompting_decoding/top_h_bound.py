"""Top-H on random laws: does it keep its entropy bound, and how near is greedy to the best set.

decoding/truncation.py has the two rules. Half of the `laws` are Dirichlet (concentration 0.1, 0.5
or 1), half Zipf (exponent 0.5 to 2), all of `vocabulary` tokens.

Metrics: `measured/violations`, the share of laws with H(q_S) > alpha H(p); `measured/excess`, the
largest H(q_S) - alpha H(p); `measured/increment`, the largest difference between the entropy as it
is updated token by token and that of the renormalised law; `measured/kept`, tokens. For up to 12
tokens, against all subsets that meet the bound: `measured/mass_ratio`, mean kept mass over the best
set's; `measured/optimal`, the share of laws where they are equal; `measured/above`, the largest
mass over the best set's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ppr.decoding.truncation import entropy_terms, keep, truncate
from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Annotated, Count, Fraction, Ge, Literal
from ppr.registry import component
from ppr.studies.study import Study

FEW = 12
SLACK = 1e-12


def random_laws(count: int, vocabulary: int, seed: int) -> Tensor:
    """Dirichlet and Zipf by turns, in float64. [count, V]"""
    random = np.random.default_rng(seed)
    ranks = np.arange(1, vocabulary + 1)
    rows = []
    for n in range(count):
        if n % 2:
            law = ranks ** -random.uniform(0.5, 2.0)
        else:
            law = random.gamma((0.1, 0.5, 1.0)[n // 2 % 3], size=vocabulary) + 1e-300
        rows.append(law / law.sum())
    return torch.tensor(np.array(rows))


def best_mass(p: Tensor, alpha: float) -> Tensor:
    """The largest mass of a set that meets the bound, over all sets. [N]"""
    V = p.shape[1]
    sets = (torch.arange(1, 2**V, device=p.device)[:, None] >> torch.arange(V).to(p.device)) & 1
    member = sets.to(p).T
    mass, terms = p @ member, entropy_terms(p) @ member
    entropy = mass.log() + terms / mass
    fine = entropy <= alpha * entropy_terms(p).sum(1, keepdim=True) + SLACK
    # A single token always stays, its entropy being 0 but for rounding.
    fine |= sets.sum(1) == 1
    return torch.where(fine, mass, 0.0).amax(1)


@component("task")
class TopHBound(Study):
    def __init__(
        self,
        bench: Bench,
        *,
        rule: Literal["top_h", "released"] = "top_h",
        alpha: Fraction = 0.4,
        vocabulary: Annotated[int, Ge(2)] = 1000,
        laws: Count = 400,
    ) -> None:
        super().__init__(bench)
        self.rule: Literal["top_h", "released"] = rule
        self.alpha, self.vocabulary, self.laws = alpha, vocabulary, laws

    def measure(self) -> dict[str, dict[str, float]]:
        p = random_laws(self.laws, self.vocabulary, derive(self.bench.seed, "laws"))
        p = p.to(self.bench.device)
        kept = keep(p, self.rule, self.alpha)
        entropy = entropy_terms(truncate(p, self.rule, self.alpha)).sum(1)
        excess = entropy - self.alpha * entropy_terms(p).sum(1)
        mass = (p * kept).sum(1)
        updated = mass.log() + (entropy_terms(p) * kept).sum(1) / mass
        measured = {
            "violations": (excess > SLACK).double().mean().item(),
            "excess": excess.max().item(),
            "increment": (updated - entropy).abs().max().item(),
            "kept": kept.double().sum(1).mean().item(),
        }
        if self.vocabulary <= FEW:
            best = best_mass(p, self.alpha)
            measured |= {
                "mass_ratio": (mass / best).mean().item(),
                "optimal": ((mass - best).abs() < SLACK).double().mean().item(),
                "above": (mass - best).max().item(),
            }
        return {"measured": measured}
