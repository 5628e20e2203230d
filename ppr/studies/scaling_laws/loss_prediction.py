"""A new corpus predicted from another's many runs and a few of its own, on published runs.

Brandfonbrener et al., arXiv:2411.12925 (dataset=loss_to_loss), by `what`:

    law    the law of training losses on `corpus`, R^2 over all its runs: `loss` carried over from
           each other corpus by a shifted power, the mean of them; `alone` fitted to the few runs;
           `skyline` fitted to all
    large  losses on `test` of models of 3.3B parameters (1e21 FLOPs), mean error over all corpora
           but FineWeb-Edu, from whose runs `train` losses, or `test` losses, are carried over;
           `flops`, a shifted power of the compute; `alone`, the law of size fitted to the few runs;
           `identity`, the loss of FineWeb-Edu's model

The few runs are those of about 20 tokens a parameter. Shifts of what is carried over are those of
the first corpus' laws, of what it is carried to are fitted, as in translation_experiment.ipynb.

Metrics: `law/r2` or `large/error`.
"""

from __future__ import annotations

import numpy as np

from ppr.engine.bench import Bench
from ppr.errors import BadRequest, choices
from ppr.fields import Literal
from ppr.registry import component
from ppr.scaling.fit import Array
from ppr.scaling.loss_to_loss import ShiftedPower, SizeLaw, explained, fit_shifted
from ppr.studies.scaling_laws._corpora import CORPORA, TRAIN, CorpusStudy, paired

BY = {"law": ("loss", "alone", "skyline"), "large": ("train", "test", "flops", "alone", "identity")}
FROM = "fineweb_edu"


@component("task", needs="tables")
class LossPrediction(CorpusStudy):
    """
    Raises:
        BadRequest: `by` is no way to predict `what`.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        what: Literal["law", "large"] = "law",
        by: Literal["loss", "train", "test", "flops", "alone", "skyline", "identity"] = "loss",
        corpus: Literal[
            "fineweb", "fineweb_edu", "proofpile", "slimpajama", "smollm", "starcoder"
        ] = "fineweb",
        test: Literal["hellaswag", "arc_easy", "mmlu_humanities", "mmlu_stem"] = "hellaswag",
    ) -> None:
        super().__init__(bench)
        if by not in BY[what]:
            raise BadRequest(f"task.by={by} with task.what={what}: {choices(by, BY[what])}")
        self.what, self.by, self.corpus, self.test = what, by, corpus, test

    def measure(self) -> dict[str, dict[str, float]]:
        if self.what == "law":
            return {"law": {"r2": self._explained()}}
        errors = [self._error(corpus) for corpus in CORPORA if corpus != FROM]
        return {"large": {"error": float(np.mean(errors))}}

    def _explained(self) -> float:
        runs = self.runs(self.corpus)
        if self.by == "loss":
            laws = [self._carried(other) for other in CORPORA if other != self.corpus]
        else:
            laws = [(runs if self.by == "skyline" else runs.optimal()).law(TRAIN)]
        losses = runs.losses(TRAIN)
        return float(np.mean([explained(law(runs.sizes), losses) for law in laws]))

    def _carried(self, other: str) -> SizeLaw:
        law = self.runs(other).law(TRAIN)
        return law.through(self._power(other, TRAIN, law.E, self.corpus, TRAIN))

    def _power(
        self, first: str, x_loss: str, x_shift: float, second: str, y_loss: str
    ) -> ShiftedPower:
        """The loss of the second corpus' few runs by that of the first's."""
        runs, others = self.runs(first).optimal(), self.runs(second).optimal()
        a, b = paired(runs, others)
        return fit_shifted(runs.losses(x_loss)[a], others.losses(y_loss)[b], x_shift)

    def _error(self, corpus: str) -> float:
        truth = float(self.runs(corpus, "extrapolation").losses(self.test)[0])
        return abs(float(self._predict(corpus)) - truth) / truth

    def _predict(self, corpus: str) -> Array | float:
        large, few = self.runs(corpus, "extrapolation"), self.runs(corpus).optimal()
        if self.by == "flops":
            power = fit_shifted(few.of("iso_flop"), few.losses(self.test))
            return power(large.of("iso_flop")[0])
        if self.by == "alone":
            return float(few.law(self.test)(large.sizes)[0])
        loss = TRAIN if self.by == "train" else self.test
        known = float(self.runs(FROM, "extrapolation").losses(loss)[0])
        if self.by == "identity":
            return known
        shift = self.runs(FROM).law(loss).E
        return self._power(FROM, loss, shift, corpus, self.test)(known)
