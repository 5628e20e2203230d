"""An encoder's downstream risk is bounded by its sufficiency gap and what augmentation changes.

Lin and Mei, arXiv:2503.17538; Suff(f) as in sufficiency.py. A target Y that is predicted from f(x)
costs, in log loss over what it costs from x, at most

    H(Y|f(x)) - H(Y|x)  <=  Suff(f) + I(Y; x | z)

of which the last term is what the augmentation changes of the target. (The definition for log loss
is our own; the chain rule, I(Y;x|f) <= I(z;x|f) + I(Y;x|f,z), proves the bound.) Checked on
random joints of x, z of six symbols and a binary Y, with all 64 encoders to two symbols; z depends
on x alone, or, with `through` near 1, on x through Y.

Metrics `measured/…`: `slack`, the least right side less left side; `violated`, the encoders' share
that breaks the bound without its last term.
"""

from __future__ import annotations

import itertools

import numpy as np

from ppr.engine.bench import Bench
from ppr.engine.seeding import derive
from ppr.fields import Count, Fraction
from ppr.registry import component
from ppr.studies.study import Study
from ppr.studies.theory_numerics.sufficiency import encoded, mutual_information

SYMBOLS = 6


@component("task")
class SufficiencyBound(Study):
    def __init__(self, bench: Bench, *, joints: Count = 100, through: Fraction = 0.0) -> None:
        super().__init__(bench)
        self.joints, self.through = joints, through

    def measure(self) -> dict[str, dict[str, float]]:
        random = np.random.default_rng(derive(self.bench.seed, "joints"))
        maps = np.array(list(itertools.product((0, 1), repeat=SYMBOLS)))
        least, broken = np.inf, 0
        for _ in range(self.joints):
            p_xy = random.dirichlet(np.ones(SYMBOLS * 2)).reshape(SYMBOLS, 2)
            own, by_target = (random.dirichlet(np.ones(SYMBOLS), n) for n in (SYMBOLS, 2))
            # p(x, y, z) with z given x and y.
            z_given = (1 - self.through) * own[:, None] + self.through * by_target[None]
            xyz = p_xy[:, :, None] * z_given
            xz, kept = xyz.sum(1), mutual_information(p_xy)
            both = mutual_information(xyz.transpose(0, 2, 1).reshape(-1, 2))
            changed = both - mutual_information(xyz.sum(0).T)  # I(Y; x, z) - I(Y; z)
            for encoder in maps:
                lost = kept - mutual_information(encoded(p_xy, encoder))
                suff = mutual_information(xz) - mutual_information(encoded(xz, encoder))
                least = min(least, suff + changed - lost)
                broken += lost > suff + 1e-12
        share = broken / (self.joints * len(maps))
        return {"measured": {"slack": float(least), "violated": float(share)}}
