"""Seeds trained together in one process: each is its own single run, whatever ends another."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch

import ppr.run
from ppr.cli.run import command
from ppr.config.compose import compose
from ppr.config.places import results_root
from ppr.display.progress import Watcher
from ppr.engine.checkpoints import checkpoints, load_weights
from ppr.engine.interrupts import Interrupted
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.launchers.pool import Task, grouped
from ppr.launchers.together import attempt_together
from ppr.results.files import read_lines
from ppr.results.tree import records
from ppr.tasks.classify import Classify
from tests.killing import StopsAtTheEnd

SMALL = ["engine.batch_size=64", "engine.epochs=1", "engine.log_every=5", "engine.device=cpu",
         "engine.seeds_per_process=3"]  # fmt: skip
MLP = ["model=mlp", "model.hidden=[16]"]
CLASSIFY = ["experiment=ce_digits", "evaluator=[classifier]", *SMALL, *MLP]
CONTRAST = ["experiment=supcon_digits", "evaluator=[knn]", *SMALL, *MLP]
PLAIN = [*CLASSIFY, "augment=none", "engine.evaluate_every=0"]

CASES = {
    "AdamW": CLASSIFY,
    "SGD, batch norm, no augmentation": [
        *PLAIN, "optimizer=sgd", "optimizer.lr=0.05", "model.batch_norm=true",
        "optimizer.decay_norm_and_bias=false",
    ],
    "a moving average, clipped gradients": [
        *PLAIN, "engine.ema_decay=0.9", "engine.clip_norm=0.5",
    ],
    "an optimizer of whole matrices": [*PLAIN, "optimizer=lars", "optimizer.lr=0.5"],
    "a convolution": [
        "experiment=ce_digits", "evaluator=[classifier]", *SMALL, "model.width=4",
        "augment=none", "optimizer=sgd", "optimizer.lr=0.002", "data.synthetic=192",
    ],
    "SupCon, AdamW": CONTRAST,
    "SupCon, SGD": [*CONTRAST, "optimizer=sgd", "optimizer.lr=0.05"],
}  # fmt: skip


class Ended(dict):
    """What became of each seed: its summary, or its error."""

    def __call__(self, config, outcome) -> None:
        self[config.seed] = outcome


def together(words, seeds=3, watcher=None) -> Ended:
    ended = Ended()
    configs = [compose([*words, f"seed={seed}"]) for seed in range(seeds)]
    attempt_together(configs, watcher or Watcher(), ended, force=False)
    return ended


def folders(words, seeds=3) -> list[Path]:
    return [compose([*words, f"seed={seed}"]).folder for seed in range(seeds)]


@pytest.fixture
def single(tmp_path, monkeypatch):
    """Does a run by itself, in another results tree; returns its directory."""

    def run(words, seed) -> Path:
        with monkeypatch.context() as patch:
            patch.setenv("PPR_RESULTS", str(tmp_path / "single"))
            config = compose([*words, f"seed={seed}"])
            execute(config)
            return config.folder

    return run


def assert_same_run(folder: Path, alone: Path) -> None:
    own, expected = load_weights(folder / "model.pt"), load_weights(alone / "model.pt")
    assert list(own) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(own[name], value, atol=1e-4, rtol=0)
    ours, theirs = read_lines(folder / "metrics.jsonl"), read_lines(alone / "metrics.jsonl")
    assert [list(line) for line in ours] == [list(line) for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        assert line == pytest.approx(other, abs=1e-4)
    assert {path.name for path in folder.iterdir()} == {path.name for path in alone.iterdir()}
    assert (folder / "model.pt").stat().st_size == (alone / "model.pt").stat().st_size
    summary, other = (json.loads((path / "summary.json").read_text()) for path in (folder, alone))
    assert list(summary) == list(other)
    for name, measured in other["metrics"].items():
        assert summary["metrics"][name] == pytest.approx(measured, abs=0.005)  # two test samples


@pytest.mark.parametrize("case", CASES)
def test_each_seed_is_its_single_run(case, single):
    words = CASES[case]
    ended = together(words)
    for seed, folder in enumerate(folders(words)):
        assert ended[seed]["cost"]["seeds_together"] == 3
        assert_same_run(folder, single(words, seed))
    assert len(list(records(results_root(None)))) == 3


def test_seeds_stopped_after_their_last_step_keep_their_best_epochs(monkeypatch, tmp_path):
    words = [*CONTRAST, "engine.evaluate_every=1"]
    whole = together(words)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "stopped"))
    with pytest.raises(Interrupted):
        together(words, watcher=StopsAtTheEnd(asks=True))
    resumed = together(words)
    for seed in range(3):
        assert whole[seed]["best"]
        assert resumed[seed]["best"] == whole[seed]["best"]
        assert resumed[seed]["metrics"] == whole[seed]["metrics"]


def test_seeds_share_the_seconds():
    words = [*PLAIN, "engine.epochs=2"]
    ended = together(words)
    for seed, folder in enumerate(folders(words)):
        cost = ended[seed]["cost"]
        timing = read_lines(folder / "timing.jsonl")
        assert timing[-1]["seconds"] <= cost["train_seconds"] + 1e-3 <= cost["seconds"]
        assert cost["seconds"] == ended[0]["cost"]["seconds"]


def test_a_seed_that_fails_leaves_the_others_alone(single, monkeypatch):
    made = ppr.run.make_task

    def poisoned(bench):
        task = made(bench)
        if bench.seed == 0:
            next(task.parameters()).data[0] = float("nan")
        return task

    with monkeypatch.context() as patch:
        patch.setattr("ppr.run.make_task", poisoned)
        ended = together(PLAIN)
    first, *others = folders(PLAIN)
    assert "not finite at step 1 " in str(ended[0])
    assert json.loads((first / "failure.json").read_text())["error"] == str(ended[0])
    for seed, folder in enumerate(others, start=1):
        assert_same_run(folder, single(PLAIN, seed))


def test_all_seeds_may_fail():
    ended = together([*PLAIN, "optimizer=sgd", "optimizer.lr=1e30"])
    assert sorted(ended) == [0, 1, 2]
    assert all("not finite" in str(error) for error in ended.values())


class Killed(BaseException):
    pass


class StopsAt(Watcher):
    def __init__(self, step, how) -> None:
        self.step, self.how = step, how

    def stepped(self, step, epoch, values, rate) -> None:
        if step == self.step:
            self.how()


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("optimizer", ["adamw", "lars"])
def test_a_killed_group_goes_on_to_the_same_bits(optimizer, tmp_path, monkeypatch):
    words = [*CLASSIFY, "engine.epochs=2", "engine.checkpoint_seconds=0", f"optimizer={optimizer}",
             "optimizer.lr=0.01"]  # fmt: skip
    with pytest.raises(Killed):
        together(words, watcher=StopsAt(20, kill))
    assert all(len(checkpoints(folder / "checkpoints")) == 2 for folder in folders(words))
    together(words)
    killed = folders(words)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "undisturbed"))
    together(words)
    for folder, other in zip(killed, folders(words), strict=True):
        for name in ("model.pt", "best.pt", "metrics.jsonl"):
            assert (folder / name).read_bytes() == (other / name).read_bytes()
        assert not (folder / "checkpoints").exists()


def test_a_signal_saves_and_seeds_at_different_steps_go_on(single):
    words = [*PLAIN, "engine.epochs=2", "engine.checkpoint_seconds=0"]
    with pytest.raises(Interrupted, match="step 20 of"):
        together(words, watcher=StopsAt(20, lambda: signal.raise_signal(signal.SIGTERM)))
    first, second, _ = folders(words)
    checkpoints(first / "checkpoints")[0].unlink()  # a kill came while the first was saving
    execute(compose([*words, "seed=1"]))  # a run by itself can take one up as well
    together(words)
    for seed, folder in enumerate(folders(words)):
        assert_same_run(folder, single(words, seed))
    assert "seeds_together" not in json.loads((second / "summary.json").read_text())["cost"]


def _drops(task, inputs):
    return task.classifier(torch.dropout(task.encoder(inputs), 0.5, True))


def _counts(task, inputs):
    task.calls = getattr(task, "calls", 0) + 1
    return task.classifier(task.encoder(inputs))


def _branches(task, inputs):
    return task.classifier(task.encoder(inputs if inputs.sum() > 0 else -inputs))


@pytest.mark.parametrize(
    ("forward", "why"),
    [(_drops, "random numbers"), (_counts, "a state of its own"), (_branches, "control flow")],
)
def test_a_step_that_is_no_function_of_tensors_is_refused(forward, why, monkeypatch):
    monkeypatch.setattr(Classify, "forward", forward)
    if forward is _counts:
        monkeypatch.setattr(Classify, "calls", 0, raising=False)
    ended = together(PLAIN)
    for error in ended.values():
        assert isinstance(error, BadRequest)
        assert why in str(error)
        assert "use engine.seeds_per_process=1" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "word",
    ["engine.precision=fp16", "engine.nonfinite=skip", "engine.accumulate=2", "engine.compile=true",
     "+inputs.teacher='experiment=ce_digits'"],
)  # fmt: skip
def test_settings_that_cannot_be_shared_are_refused_before_anything_starts(word, own_folders):
    with pytest.raises(BadRequest, match="engine.seeds_per_process=1") as refused:
        command.main(["-m", *PLAIN, "seed=0,1", word], standalone_mode=False)
    assert "\n" not in str(refused.value)
    assert not list(own_folders.glob("results/*/*"))


def test_seeds_of_a_variant_are_grouped():
    words = [[*PLAIN, f"seed={seed}", f"optimizer.lr={lr}"] for seed in range(5) for lr in (1, 2)]
    tasks = grouped(Task(at, compose(own), Path("log")) for at, own in enumerate(words))
    assert [[task.index, *(each.index for each in task.together)] for task in tasks] == [
        [0, 2, 4], [1, 3, 5], [6, 8], [7, 9],
    ]  # fmt: skip


def test_a_sweep_trains_seeds_together(single, capsys):
    words = [*PLAIN, "engine.seeds_per_process=8", "launcher=local"]
    code = command.main(["-m", *words, "seed=range(0,8)"], standalone_mode=False)
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("classifier/top1" in line for line in lines if line.startswith("[")) == 8
    found = list(records(results_root(None)))
    assert [record.state for record in found] == ["finished"] * 8
    assert all(record.summary["cost"]["seeds_together"] == 8 for record in found)
    assert_same_run(folders(words, 8)[7], single(words, 7))
