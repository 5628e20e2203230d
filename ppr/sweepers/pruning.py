"""How a search stops a trial that does worse than others at the same epoch."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Pruning:
    """Reports a trial's validation metric to its study, in the process that does the run."""

    folder: Path
    search: Mapping[str, Any]
    number: int

    def after(self, step: int, epoch: float, values: Mapping[str, float], *, last: bool) -> None:
        """Tell the study of an evaluation.

        Raises:
            Pruned: the trial is not worth going on with.
        """
        from optuna.trial import Trial

        from ppr.engine.interrupts import Pruned
        from ppr.sweepers.study import open_study

        objective = self.search["objective"]
        if objective not in values:
            return
        study = open_study(self.folder, self.search)
        trial = Trial(study, study.get_trials()[self.number]._trial_id)
        with warnings.catch_warnings():
            # A trial that goes on from a checkpoint tells of some epochs again.
            warnings.simplefilter("ignore")
            trial.report(values[objective], round(epoch))
        if not last and trial.should_prune():
            said = {"step": step, "epoch": epoch, "objective": objective}
            said |= {"value": values[objective], "study": self.folder.name, "trial": self.number}
            raise Pruned(f"pruned at epoch {epoch:g}: {objective} {values[objective]:.4g}", said)
