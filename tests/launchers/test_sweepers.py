"""Hyper-parameter search: the space, draws by name, studies shared and gone on with, pruning."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from sweep_space import RATE, score

from ppr.config.compose import compose
from ppr.config.overrides import parse
from ppr.engine.bench import Watcher
from ppr.engine.interrupts import Pruned
from ppr.errors import RunFailed
from ppr.launchers import estimate as estimating
from ppr.launchers.estimate import estimate
from ppr.launchers.execute import execute
from ppr.launchers.opening import open_sweep
from ppr.launchers.plan import make_plan
from ppr.launchers.pool import Display
from ppr.launchers.trials import trials
from ppr.results import tree
from ppr.results.files import read_lines
from ppr.results.sweeps import LOCAL, find
from ppr.sweepers.space import read_axes
from ppr.sweepers.study import Worker

pytest_plugins = ("sweeping",)
pytestmark = pytest.mark.usefixtures("toy_is_monitored")

MONITOR = ["engine.evaluate_every=1", "engine.monitor=toy/score"]


# --- refusals -------------------------------------------------------------------------------------

REFUSED = {
    f"{RATE} sweeper=random sweeper.trials=0": ("sweeper.trials=0", "greater than or equal to 1"),
    f"{RATE} sweeper=optuna sweeper.trials=0": ("sweeper.trials=0", "greater than or equal to 1"),
    f"{RATE} sweeper=optuna sweeper.pruner=mean": ("sweeper.pruner", "median"),
    f"{RATE} sweeper=optna": ("sweeper=optna", "did you mean 'optuna'"),
    RATE: ("needs sweeper=random or sweeper=optuna",),
    "sweeper=random task.rate=interval(2,1)": ("task.rate=interval(2,1)", "low end below"),
    "sweeper=random task.rate=interval(2,2)": ("low end below",),
    "sweeper=random task.rate=interval(1,inf)": ("finite",),
    "sweeper=random task.rate=tag(log,interval(0,1))": ("logarithm", "above 0"),
    "sweeper=random task.rate=tag(lg,interval(1,2))": ("lg", "did you mean 'log'"),
    "sweeper=random task.rate=tag(log,choice(1,2))": ("tag log is for an interval",),
    "sweeper=random task.kills=tag(int,interval(0.5,3))": ("whole numbers",),
    "sweeper=random task.kills=interval(0,3)": ("task.kills", "integer"),
    "sweeper=random task.rate=interval(-1,1)": ("task.rate=-1", "greater than 0"),
    "sweeper=optuna task.rate=interval(-1,1)": ("task.rate=-1", "greater than 0"),
    "sweeper=optuna task.kills=int(interval(-1,1))": ("task.kills=-1",),
    "sweeper=optuna task.rat=interval(1,2)": ("task.rat", "did you mean 'rate'"),
    "sweeper=random task.rat=interval(1,2)": ("task.rat", "did you mean 'rate'"),
    "sweeper=random seed=0,1": ("nothing to draw", "tag(draw"),
    "sweeper=optuna": ("nothing to search",),
    "sweeper=optuna task.rate=1,1": ("lists a value twice",),
    "sweeper=optuna task.rate=range(2,2)": ("empty sweep",),
    f"sweeper=optuna {RATE} seed=0,1": ("seed=0,1", "luckiest"),
    f"sweeper=optuna {RATE} {RATE}": ("given 2 times",),
    f"sweeper=random,optuna {RATE}": ("sweeper", "one value"),
    f"sweeper=optuna {RATE} engine.evaluate_every=0": ("engine.evaluate_every=1",),
    f"sweeper=random {RATE} engine.monitor=null": ("set engine.monitor=",),
    f"sweeper=optuna {RATE} sweeper.objective=toy/weight": ("test split", "validation/toy/score"),
    f"sweeper=optuna {RATE} sweeper.objective=best/toy/weight": ("test split",),
    f"sweeper=random {RATE} sweeper.objective=validation/linear/top1": ("validation/toy/",),
    f"sweeper=optuna {RATE} --force": ("sweeper.study",),
    **{
        f"sweeper=optuna {RATE} sweeper.study={name}": ("sweeper.study=", "at most 100 letters")
        for name in ("../../escaped", "a/b", "/tmp/x", ".", "..", ".hidden", "-x", "x" * 101)
    },
    f"sweeper=random sweeper.trials=2000 {RATE}": ("2,000 runs", "--yes"),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_search_is_refused_before_anything_starts(ppr, words):
    done = ppr("run -m", *words.split())
    assert done.code == 2
    for part in REFUSED[words]:
        assert part in done.error
    assert not Path(os.environ["PPR_RESULTS"]).exists()


def test_a_search_needs_validation_data_and_m(ppr):
    words = ["experiment=supcon_digits", "optimizer.lr=interval(0.1,0.2)"]
    refused = ppr("run -m", "sweeper=optuna", *words, "dataset.validation=0")
    # `ppr` appends the toy, which the last word of a group wins over
    assert refused.code == 2
    assert "needs -m" in ppr("run", "sweeper=optuna").error


def test_methods_that_are_measured_otherwise_do_not_share_a_study(ppr):
    refused = ppr("run -m", "sweeper=optuna", RATE, "engine.monitor=toy/score,toy/loss")
    assert "validation/toy/score" in refused.error
    assert "validation/toy/loss" in refused.error


def test_without_optuna_it_says_what_to_install(ppr, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'ppr[search]'" in ppr("run -m", "sweeper=optuna", RATE).error


# --- studies --------------------------------------------------------------------------------------


class Here(Display):
    """Does trials in this process: the toy's score is known without it."""

    def __init__(self) -> None:
        self.rates: list[float] = []


def search(*words: str, **fields):
    given = [f"sweeper.{key}={value}" for key, value in fields.items()]
    words = ("experiment=sweep_toy", "sweeper=optuna", *words, *given)
    plan = make_plan(words)
    sweep, _ = open_sweep(plan, words)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    if not sweep.submissions:
        sweep.submitted(plan.launcher, {LOCAL: []})
    return sweep


def pretend(task, at: float | None = None) -> dict:
    """Leave what a run leaves: its validation metric and its summary."""
    folder = task.config.folder
    folder.mkdir(parents=True, exist_ok=True)
    value = score(task.config["task"]["rate"]) if at is None else at
    line = {"step": 1, "epoch": 1, "validation/toy/score": value}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "summary.json").write_text("{}")
    return {}


def rates_of(sweep, stop_after: int | None = None) -> list[float]:
    """The rates that are asked for, one after another, up to a number of them."""
    rates = []
    with trials(sweep, "local", Display()) as asking:
        for task in asking:
            rates.append(task.config["task"]["rate"])
            if len(rates) == stop_after:
                break  # as a Ctrl-C does: the trial is left running
            asking.finished(task, pretend(task))
    return rates


def read_back(sweep) -> optuna.Study:
    """By Optuna alone."""
    path = str(sweep.folder / "study.journal")
    backend = optuna.storages.journal.JournalFileBackend(path)
    (study,) = optuna.get_all_study_names(optuna.storages.JournalStorage(backend))
    return optuna.load_study(study_name=study, storage=optuna.storages.JournalStorage(backend))


def test_a_study_that_was_stopped_goes_on_as_if_it_had_not_been(ppr, tmp_path, monkeypatch):
    whole = rates_of(search(RATE, trials=14))
    assert len(set(whole)) == 14
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "again"))
    first = rates_of(search(RATE, trials=14), stop_after=12)
    assert first == whole[:12]
    rest = rates_of(search(RATE, trials=14))
    assert rest == whole[11:]  # the one that was cut off is done first
    sweep = search(RATE, trials=14)
    study = read_back(sweep)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 14
    assert [trial.params["task.rate"] for trial in study.trials] == whole
    assert [trial.value for trial in study.trials] == pytest.approx([score(r) for r in whole])
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert [sweep.run_folder(i).is_dir() for i in range(14)] == [True] * 14
    assert rates_of(search(RATE, trials=15))[0] not in whole  # more trials of the same study
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "seeded"))
    assert rates_of(search(RATE, trials=3, seed=1)) != whole[:3]


def test_a_living_workers_trial_is_its_own(ppr):
    sweep = search(RATE, trials=3)
    axes = read_axes(parse([RATE]))
    first, second = (Worker(sweep.folder, sweep.search, axes) for _ in range(2))
    with second.at_work():
        with first.at_work():
            asked = first.ask()
            assert second.ask().number != asked.number
        taken = second.ask()  # the first has died
        assert (taken.number, taken.params) == (asked.number, asked.params)
        assert second.ask().number == 2
        assert second.ask() is None


def test_no_run_is_done_twice_in_a_small_space(ppr):
    sweep = search("task.kills=0,1", trials=8)
    done = []
    with trials(sweep, "local", Display()) as asking:
        for task in asking:
            done.append(task.config["task"]["kills"])
            asking.finished(task, pretend(task, at=task.config["task"]["kills"] / 2))
    assert sorted(done) == [0, 1]
    study = read_back(sweep)
    assert len(study.trials) == 8
    assert {(t.params["task.kills"], t.value) for t in study.trials} == {("0", 0.0), ("1", 0.5)}


def test_what_failed_is_tried_again_with_the_same_values(ppr):
    sweep = search(RATE, trials=3)
    with trials(sweep, "local", Display()) as asking:
        tasks = []
        for task in asking:
            tasks.append(task)
            if task.index == 1:
                asking.failed(task, "it broke", again=False)
            else:
                asking.finished(task, pretend(task))
    assert len(tasks) == 3
    assert read_back(sweep).trials[1].user_attrs["error"] == "it broke"
    worker = Worker(sweep.folder, sweep.search, read_axes(parse([RATE])))
    assert worker.left() == 0
    worker.ask_again()
    worker.ask_again()  # a launcher that was killed then
    assert worker.left() == 1
    assert rates_of(sweep) == [tasks[1].config["task"]["rate"]]
    assert worker.left() == 0
    assert len(find(Path(os.environ["PPR_RESULTS"]), sweep.id).points) == 3


def test_values_that_do_not_go_together_use_a_trial_up(ppr):
    """Each value of the space can be had, but not both of some pairs."""
    words = ("task=sweep_toy,classify", "task.rate=1,2")
    refused = ppr("run -m", "sweeper=optuna", *words)
    assert refused.code == 2
    assert "task.rate" in refused.error


def test_a_named_study_refuses_another_space(ppr):
    sweep = search(RATE, trials=2, study="mine")
    rates_of(sweep)
    assert sweep.folder.name == "mine"
    for changed, words in (
        ("base, space", "task.rate=interval(1,2)"),
        ("direction", f"{RATE} sweeper.direction=minimise"),
    ):
        refused = ppr("run -m", "sweeper=optuna", "sweeper.study=mine", *words.split())
        assert refused.code == 2
        assert f"that study is another search (changed: {changed})" in refused.error
    grid = make_plan(["experiment=sweep_toy", "seed=0,1"])
    other, places = open_sweep(grid, [])
    other.folder.mkdir()
    other.submitted(grid.launcher, {LOCAL: places})
    refused = ppr("run -m", "sweeper=optuna", f"sweeper.study={other.id}", RATE)
    assert (refused.code, "that is another sweep" in refused.error) == (2, True)


def test_workers_share_a_study(ppr):
    """Each has its own view of the files, as processes have."""
    sweep = search(RATE, trials=20)
    numbers: list[int] = []

    def work(worker: Worker) -> None:
        with worker.at_work():
            while True:
                with worker.lock:
                    trial = worker.ask()
                if trial is None:
                    return
                numbers.append(trial.number)
                worker.tell(trial.number, score(trial.params["task.rate"]))

    axes = read_axes(parse([RATE]))
    workers = [Worker(sweep.folder, sweep.search, axes) for _ in range(3)]
    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(numbers) == list(range(20))
    assert [t.state for t in read_back(sweep).trials] == [TrialState.COMPLETE] * 20


# --- pruning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pruner", "number"), [("median", 14), ("hyperband", 14), ("none", 3)])
def test_a_bad_trial_is_pruned_and_says_so(ppr, pruner, number):
    sweep = search("task.rate=interval(0.1,10)", trials=number, pruner=pruner)
    cut = []
    with trials(sweep, "local", Display()) as asking:
        for task in asking:
            try:
                asking.finished(task, execute(task.config, _Pruned(task.pruning)))
            except Pruned as error:
                asking.pruned(task, str(error))
                cut.append((task, error))
    states = Counter(trial.state for trial in read_back(sweep).trials)
    assert states == {TrialState.COMPLETE: number - len(cut)} | (
        {TrialState.PRUNED: len(cut)} if cut else {}
    )
    assert bool(cut) == (pruner != "none")
    for task, error in cut:
        folder = task.config.folder
        assert tree.state(folder) == "pruned"
        record = json.loads((folder / "pruned.json").read_text())
        logged = read_lines(folder / "metrics.jsonl")[-1]
        assert logged["validation/toy/score"] == record["value"] == error.record["value"]
        assert (logged["epoch"], record["study"]) == (record["epoch"], sweep.id)
        assert record["epoch"] < task.config["engine"]["epochs"]
        assert not list(folder.glob("checkpoints/*"))
    if cut:
        status = json.loads(ppr("sweep status --json").out)
        assert status["runs"] == {"finished": number - len(cut), "pruned": len(cut)}
        assert status["chosen"][0]["pruned"] == len(cut)
        by_hand = execute(cut[0][0].config)  # whoever asks for the run itself gets all of it
        assert by_hand["metrics"]
        assert tree.state(cut[0][0].config.folder) == "finished"


class _Pruned(Watcher):
    """As a pool's process watches a trial."""

    def __init__(self, pruning) -> None:
        self.pruning = pruning

    def started(self, steps, steps_per_epoch, at) -> None:
        self.steps = steps

    def evaluated(self, step, epoch, values) -> None:
        self.pruning.after(step, epoch, values, last=step == self.steps)


def test_a_study_on_this_machine(ppr):
    """Two processes share it; trials are ordinary runs; the same command again adds nothing."""
    words = ["sweeper=optuna", "sweeper.trials=6", RATE, "launcher=local", "launcher.jobs=2"]
    done = ppr("run -m", *words)
    assert done.code == 0, done.err
    assert done.out.startswith("6 trials: 6 to do, hours unknown")
    assert "6 of 6 trials over" in done.out
    sweep = find(Path(os.environ["PPR_RESULTS"]), None)
    study = read_back(sweep)
    over = [t for t in study.trials if t.state is TrialState.COMPLETE]
    assert len(study.trials) == 6
    for trial in over:
        assert trial.value == pytest.approx(score(trial.params["task.rate"]))
    (row,) = json.loads(ppr("sweep status --json").out)["chosen"]
    assert row["value"] == study.best_value
    assert row["words"] == [f"task.rate={study.best_params['task.rate']}"]
    config = compose(["experiment=sweep_toy", *row["words"]])
    assert str(config.folder.resolve()) == row["folder"]
    assert ppr("run -m", *words).out.startswith("6 trials: 6 done")


def test_a_trial_that_fails_is_told_and_tried_again(ppr):
    words = ["sweeper=optuna", "sweeper.trials=2", RATE, "task.fails=true"]
    done = ppr("run -m", *words)
    assert done.code == 1
    assert "2 of 2 runs failed" in done.err
    points = ppr.status()
    assert [point["error"] for point in points] == ["it was told to fail"] * 2
    for point in points:
        (Path(point["folder"]) / "mended").touch()
    again = ppr(f"sweep retry {ppr.newest()}", "sweeper.trials=3")
    assert again.code == 1  # the new one
    assert again.out.startswith("3 trials: 3 to do")
    now = ppr.status()
    assert [point["folder"] for point in now[:2]] == [point["folder"] for point in points]
    assert [point["state"] for point in now[:2]] == ["finished"] * 2
    assert "it was told to fail" in now[2]["error"]


# --- the hours ------------------------------------------------------------------------------------


def test_the_hours_of_a_kind_are_measured_once(ppr, tmp_path, monkeypatch):
    monkeypatch.undo()
    calls = []

    class Executor:
        def __init__(self, *rest) -> None: ...
        def __enter__(self):
            return self

        def __exit__(self, *rest) -> None: ...
        def submit(self, measure, config):
            calls.append(config)
            return self

        def result(self) -> float:
            if calls[-1]["engine"]["batch_size"] == 32:
                raise RunFailed("no")
            return 2.0

    monkeypatch.setattr(estimating, "ProcessPoolExecutor", Executor)
    configs = [
        compose(["experiment=supcon_digits", f"seed={seed}", f"engine.batch_size={size}"])
        for seed in range(3)
        for size in (16, 32)
    ]
    found = estimate(configs, tmp_path)
    assert len(calls) == 2
    assert (found.seconds, found.measured, found.untold) == (6.0, 3, 3)
    assert found.unknown == {"supcon_digits": "no"}
    assert estimate(configs, tmp_path, measuring=False).untold == 6
