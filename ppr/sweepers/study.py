"""An Optuna study shared by the processes that work at it: who does which trial, what came of it.

A trial is one run of the results tree. The journal says which trials there are; a worker's lock
says whether the one that does a running trial is alive. What a dead worker left is taken over
under the same number and goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from ppr.errors import BadRequest
from ppr.results.lock import claim, is_held
from ppr.sweepers.space import Axis

JOURNAL = "study.journal"
LOCK = "study.lock"
WORKERS = "workers"
_PATIENCE = 60.0

optuna.logging.set_verbosity(logging.WARNING)  # ppr's own display tells of the trials


def open_study(folder: Path, search: Mapping[str, Any]) -> optuna.Study:
    """The study of a sweep's folder, made if need be.

    Raises:
        BadRequest: the folder's study searches for something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=folder.name,
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        direction="maximize" if search["direction"] == "maximise" else "minimize",
        pruner=_pruner(search),
        load_if_exists=True,
    )
    known, asked = study.user_attrs.get("search"), search["identity"]
    if known is None:
        study.set_user_attr("search", asked)
    elif known != asked:
        changed = ", ".join(key for key in asked if known.get(key) != asked[key])
        raise BadRequest(
            f"sweeper.study={folder.name}: that study is another search (changed: {changed}); "
            "name another one, or leave sweeper.study away"
        )
    return study


def _pruner(search: Mapping[str, Any]) -> BasePruner:
    if search["pruner"] == "hyperband":
        return HyperbandPruner(search["every"], max(search["epochs"], search["every"]))
    return MedianPruner() if search["pruner"] == "median" else NopPruner()


class Worker:
    """One of the processes that ask a study for trials."""

    def __init__(self, folder: Path, search: Mapping[str, Any], axes: Sequence[Axis]) -> None:
        self.folder, self.limit, self.seed = folder, search["trials"], search["seed"]
        self.axes = {axis.name: axis for axis in axes}
        self.space = {name: _distribution(axis) for name, axis in self.axes.items()}
        self.study = open_study(folder, search)
        self.name = secrets.token_hex(4)
        self.lock = FileLock(folder / LOCK, timeout=_PATIENCE)
        """Held from the asking of a trial until it is known what run it is."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Its trials are its own while this lasts."""
        with claim(self.folder / WORKERS / self.name):
            yield

    def ask(self) -> Trial | None:
        """A dead worker's trial, one asked for again, or a new one while the budget lasts."""
        trials = self.study.get_trials()
        trial = self._take_over(trials)
        if trial is None:
            waiting = any(trial.state is TrialState.WAITING for trial in trials)
            if not waiting and self.limit <= len(_counted(trials)):
                return None
            key = hashlib.sha256(f"{self.seed}/{len(trials)}".encode()).digest()
            self.study.sampler = optuna.samplers.TPESampler(seed=int.from_bytes(key[:4]))
            trial = self.study.ask(self.space)
        trial.set_user_attr("worker", self.name)
        return trial

    def _take_over(self, trials: Sequence[FrozenTrial]) -> Trial | None:
        for trial in trials:
            if trial.state is not TrialState.RUNNING:
                continue
            worker = trial.user_attrs.get("worker")
            if worker is not None and is_held(self.folder / WORKERS / worker):
                continue
            if trial.params.keys() == self.space.keys():
                return Trial(self.study, trial._trial_id)
            self.give_up(trial.number, void=True)  # its worker was killed while it asked
        return None

    def words(self, trial: Trial) -> dict[str, str]:
        """The words of a trial, by the line of the space that each stands for."""
        return {axis.line: axis.word(trial.params[name]) for name, axis in self.axes.items()}

    def settle_as_twin(self, trial: Trial, run: str) -> bool:
        """Note the run of a trial; if another trial is that run, tell what it told.

        In a space of few points the sampler asks for one again; no run is done twice.
        """
        twins = [
            other
            for other in self.study.get_trials()
            if other.user_attrs.get("run") == run
            and other.number != trial.number
            and other.state is not TrialState.FAIL
        ]
        trial.set_user_attr("run", run)
        if not twins:
            return False
        trial.set_user_attr("twin", twins[0].number)
        if twins[0].state is TrialState.COMPLETE:
            self.study.tell(trial, twins[0].value)
        else:
            self.study.tell(trial, state=TrialState.FAIL)
        return True

    def tell(self, number: int, value: float) -> None:
        self.study.tell(number, value)

    def pruned(self, number: int) -> None:
        self.study.tell(number, state=TrialState.PRUNED)

    def give_up(self, number: int, **why: Any) -> None:
        """A trial that came to nothing."""
        trial = Trial(self.study, self.study.get_trials()[number]._trial_id)
        for key, value in why.items():
            trial.set_user_attr(key, value)
        self.study.tell(number, state=TrialState.FAIL)

    def ask_again(self) -> None:
        """Put the trials whose runs failed up for another try, with the same values."""
        trials = self.study.get_trials()
        for trial in _counted(trials):
            if trial.state is TrialState.FAIL and "twin" not in trial.user_attrs:
                self.study.enqueue_trial(trial.params, user_attrs={"again": trial.number})

    def left(self) -> int:
        """How many trials are still to end, those under way included."""
        ended = [trial for trial in _counted(self.study.get_trials()) if trial.state.is_finished()]
        return max(0, int(self.limit) - len(ended))


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that use up the budget: not what was cut off unborn, nor what is tried again."""
    again = {trial.user_attrs.get("again") for trial in trials}
    return [t for t in trials if t.number not in again and not t.user_attrs.get("void")]


def _distribution(axis: Axis) -> BaseDistribution:
    if not axis.continuous:
        return CategoricalDistribution(axis.values)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)
