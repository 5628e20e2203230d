"""Losses of language models as shifted powers of other losses, on published runs of six corpora.

Brandfonbrener et al., arXiv:2411.12925 (dataset=loss_to_loss), by `relation`:

    law             L(N, D) of runs on `corpus`, with its irreducible loss E
    train_to_train  training loss on `other` by that on `corpus`, of runs of as many tokens
    test_to_test    loss on `test` of models trained on `other` by that of models on `corpus`, alike
    train_to_test   loss on `test` by training loss, of the runs on `corpus`

y = K (x - E_x)^kappa + E_y, with both E from the laws of the same losses, is fitted by least
squares in logarithms, as loss_relationships.ipynb does. How the laws are fitted, and the rest of
it: ppr/scaling/loss_to_loss.py.

Metrics: `law/E`, `law/alpha`, `law/beta`, `law/exponent` (of the compute-optimal size), `law/r2`;
`relation/kappa`, `relation/K`, `relation/x_shift`, `relation/y_shift`, `relation/r2`; and
`large/error`, the relative error of the prediction for the run of 3.3B parameters, which was not
fitted to.
"""

from __future__ import annotations

import numpy as np

from ppr.engine.bench import Bench
from ppr.fields import Literal
from ppr.registry import component
from ppr.scaling.fit import Array
from ppr.scaling.loss_to_loss import ShiftedPower, explained, fit_shifted
from ppr.studies.scaling_laws._corpora import TRAIN, CorpusStudy, paired


@component("task", needs="tables")
class LossRelation(CorpusStudy):
    def __init__(
        self,
        bench: Bench,
        *,
        relation: Literal["law", "train_to_train", "test_to_test", "train_to_test"] = "law",
        corpus: Literal[
            "fineweb", "fineweb_edu", "proofpile", "slimpajama", "smollm", "starcoder"
        ] = "fineweb_edu",
        other: Literal[
            "fineweb", "fineweb_edu", "proofpile", "slimpajama", "smollm", "starcoder"
        ] = "fineweb",
        test: Literal["hellaswag", "arc_easy", "mmlu_humanities", "mmlu_stem"] = "hellaswag",
    ) -> None:
        super().__init__(bench)
        self.relation, self.test = relation, test
        self.corpus, self.other = corpus, corpus if relation == "train_to_test" else other

    def measure(self) -> dict[str, dict[str, float]]:
        if self.relation == "law":
            return self._law()
        first = self.test if self.relation == "test_to_test" else TRAIN
        second = TRAIN if self.relation == "train_to_train" else self.test
        runs, others = self.runs(self.corpus), self.runs(self.other)
        same = np.arange(len(runs.rows))
        a, b = (same, same) if self.relation == "train_to_test" else paired(runs, others)
        x, y = runs.losses(first)[a], others.losses(second)[b]
        power = fit_shifted(x, y, runs.law(first).E, others.law(second).E)
        large = [
            self.runs(corpus, "extrapolation").losses(loss)[0]
            for corpus, loss in ((self.corpus, first), (self.other, second))
        ]
        return {
            "relation": {
                "kappa": power.kappa,
                "K": power.K,
                "x_shift": power.x_shift,
                "y_shift": power.y_shift,
                "r2": explained(power(x), y),
            },
            "large": {"error": _error(power, large)},
        }

    def _law(self) -> dict[str, dict[str, float]]:
        runs, large = self.runs(self.corpus), self.runs(self.corpus, "extrapolation")
        law = runs.law(TRAIN)
        truth = float(large.losses(TRAIN)[0])
        return {
            "law": {
                "E": law.E,
                "alpha": law.alpha,
                "beta": law.beta,
                "exponent": law.exponent,
                "r2": explained(law(runs.sizes), runs.losses(TRAIN)),
            },
            "large": {"error": abs(float(law(large.sizes)[0]) - truth) / truth},
        }


def _error(power: ShiftedPower, large: list[Array]) -> float:
    x, y = map(float, large)
    return abs(float(power(x)) - y) / y
