"""Search with Optuna itself: its TPE sampler and its pruners, by ask and tell.

The study is Optuna's journal in the sweep's folder (`study.journal`), shared by every process and
job that works at it; `optuna.storages.JournalStorage` reads it back. The sampler is seeded by
(seed, number of the trial), so that a study that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ppr.errors import BadRequest
from ppr.fields import Count, Literal
from ppr.registry import component
from ppr.sweepers.space import Axis

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@component("sweeper")
class Optuna:
    """
    Args:
        trials: of the whole study, pruned and failed ones counted.
        seed: of the sampler; the same trials again with one worker.
        objective: the validation metric to search for, as metrics.jsonl has it
            ("validation/knn/top1"); unset: that of engine.monitor.
        direction: which way the objective is better.
        pruner: stops a trial that does worse than the others at the same epoch; it looks at each
            evaluation on validation, every engine.evaluate_every epochs.
        study: its name, which is the sweep's; unset: a hash of what is searched.
    """

    adaptive = True

    def __init__(
        self,
        *,
        trials: Count = 40,
        seed: int = 0,
        objective: str | None = None,
        direction: Literal["maximise", "minimise"] = "maximise",
        pruner: Literal["median", "hyperband", "none"] = "median",
        study: str | None = None,
    ) -> None:
        try:
            import optuna  # noqa: F401
        except ModuleNotFoundError:
            raise BadRequest("sweeper=optuna needs Optuna: pip install 'ppr[search]'") from None
        if study is not None and not _NAME.fullmatch(study):  # a folder of the tree has this name
            raise BadRequest(
                f"sweeper.study={study!r}: must be at most 100 letters, digits and '_', and after "
                "the first '-' and '.'"
            )

    def searched(self, axes: Sequence[Axis]) -> list[Axis]:
        """The axes of the space: all of them.

        Raises:
            BadRequest: there are none, or the seed is among them.
        """
        if not axes:
            raise BadRequest(
                "sweeper=optuna: nothing to search; give a field an interval(low,high) or a list"
            )
        for axis in axes:
            if axis.name == "seed":
                raise BadRequest(
                    f"{axis.line}: a search over seeds finds the luckiest; give seed one value"
                )
        return list(axes)
