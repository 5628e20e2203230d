"""The loop, checkpoints, exact resume, and a run's life."""

from __future__ import annotations

import copy
import errno
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from ppr.cli.check import check_words
from ppr.config.compose import compose
from ppr.data.dataset import Split
from ppr.engine.batches import Batches
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from ppr.engine.device import autocast, pick_device, settle_precision
from ppr.engine.ema import MovingAverage
from ppr.engine.interrupts import Interrupted
from ppr.engine.loop import Loop
from ppr.engine.seeding import derive, random_states, restore_random_states, seed_everything
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.results.files import MetricsLog
from ppr.results.finished import run_directory
from ppr.run import make_task, open_bench
from tests.killing import KilledAt, StopsAtTheEnd, assert_same_run, results_of

CPU = torch.device("cpu")
TINY = ["model=mlp", "model.hidden=[16]", "engine.batch_size=100", "engine.epochs=3",
        "engine.log_every=4", "engine.checkpoint_seconds=0", "engine.device=cpu",
        "evaluator.knn.k=5"]  # fmt: skip


RESUMED = {
    "contrast": [],
    "ema": ["engine.ema_decay=0.9"],
    "fp16": ["engine.precision=fp16"],
    "bf16 and clipping": ["engine.precision=bf16", "engine.clip_norm=0.5"],
    "momentum": ["optimizer=sgd", "optimizer.lr=0.05"],
    "classify": ["experiment=ce_digits", "engine.accumulate=2", "~evaluator.calibration"],
}


def words(case: str) -> list[str]:
    own = RESUMED[case]
    return [word for word in TINY if not ("knn" in word and "experiment=ce_digits" in own)] + own


@pytest.mark.parametrize("case", RESUMED)
def test_a_killed_run_ends_with_the_same_bits(case, monkeypatch, tmp_path):
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose(words(case))
    execute(config)
    whole = results_of(config)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "killed"))
    for step in (8, 16, 20):
        with pytest.raises(KeyboardInterrupt):
            execute(config, KilledAt(step))
        seed_everything(random.randrange(10**6))  # a new process starts with other states
    execute(config)
    assert_same_run(whole, results_of(config))


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_stopped_after_its_last_step_keeps_its_best_epoch(asked, monkeypatch, tmp_path):
    """In the final evaluation there is a checkpoint of the last step, and no epoch is to come."""
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose(TINY)
    execute(config)
    whole = results_of(config)
    assert whole[2]["best"]
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "stopped"))
    with pytest.raises(Interrupted if asked else KeyboardInterrupt):
        execute(config, StopsAtTheEnd(asked))
    state = load_checkpoint(run_directory(config) / tree.CHECKPOINTS)
    assert state["step"] == 30  # of 30
    execute(config)
    assert_same_run(whole, results_of(config))


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(tmp_path):
    asked = [*TINY, "engine.epochs=5"]
    command = [sys.executable, "-m", "ppr", "run", *asked]
    config = compose(asked)
    env = os.environ | {"PPR_RESULTS": str(tmp_path / "whole")}
    subprocess.run([*command, "-q"], env=env, check=True, timeout=300)
    env["PPR_RESULTS"] = str(tmp_path / "killed")
    folder = tree.run_path(tmp_path / "killed", config.experiment, config.variant, config.seed)
    child = subprocess.Popen([*command, "-q"], env=env)
    while not checkpoints(folder / tree.CHECKPOINTS):
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (folder / tree.SUMMARY).exists()
    again = subprocess.run(
        command, env=env, check=True, timeout=300, capture_output=True, text=True
    )
    assert "resumed at step" in again.stdout
    whole = tree.run_path(tmp_path / "whole", config.experiment, config.variant, config.seed)
    for name in ("metrics.jsonl", "model.pt", "best.pt"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert "finished before" in printed(command, env)


def printed(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=300)
    return done.stdout


def test_a_signal_saves_and_leaves_and_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose([*TINY, "engine.checkpoint_seconds=1e9"])
    execute(config)
    whole = results_of(config)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "stopped"))

    class Stops(Watcher):
        def stepped(self, step, epoch, values, rate):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        execute(config, Stops())
    assert checkpoints(run_directory(config) / tree.CHECKPOINTS)
    execute(config)
    assert_same_run(whole, results_of(config))


def save(folder, step: int, log: MetricsLog) -> None:
    log.write({"step": step})
    save_checkpoint(folder / tree.CHECKPOINTS, step, {"step": step}, log)


def loaded(folder) -> int | None:
    state = load_checkpoint(folder / tree.CHECKPOINTS)
    return state and state["step"]


def plant(folder, content: bytes) -> None:
    """A file with a name that fits what is in it, newer than any other."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    (folder / tree.CHECKPOINTS).mkdir(exist_ok=True)
    (folder / tree.CHECKPOINTS / f"step-{9:09d}-{digest}.pt").write_bytes(content)


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    with MetricsLog(tmp_path / tree.METRICS) as log:
        for step in (1, 2, 3):
            save(tmp_path, step, log)
    newest, before = checkpoints(tmp_path / tree.CHECKPOINTS)
    newest.write_bytes(newest.read_bytes()[:-7])
    assert loaded(tmp_path) == 2
    assert newest.name in caplog.text
    before.write_bytes(b"\0" * before.stat().st_size)
    assert loaded(tmp_path) is None


def serialised(content: object) -> bytes:
    torch.save(content, buffer := io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04nonsense", b"PK\x03\x04", serialised([1, 2]), serialised({"step": 9})],
)
def test_a_checkpoint_that_is_not_ours_is_passed_over_in_one_line(content, tmp_path, caplog):
    with MetricsLog(tmp_path / tree.METRICS) as log:
        save(tmp_path, 1, log)
    plant(tmp_path, content)
    assert loaded(tmp_path) == 1
    assert len(caplog.records) == 1
    assert "no checkpoint" in caplog.text


def test_checkpoints_load_without_running_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    plant(tmp_path, pickle.dumps(Evil(), protocol=2))
    assert loaded(tmp_path) is None
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("where", [3, 20])
def test_a_log_altered_before_a_checkpoint_is_not_gone_on_from(where, tmp_path, caplog):
    """`where` is a byte of the first or of the second line."""
    path = tmp_path / tree.METRICS
    with MetricsLog(path) as log:
        save(tmp_path, 1, log)
        save(tmp_path, 2, log)
        log.write({"step": 3})
    content = bytearray(path.read_bytes())
    assert loaded(tmp_path) == 2
    content[where] ^= 1
    path.write_bytes(content)
    assert loaded(tmp_path) == (None if where == 3 else 1)
    assert "metrics.jsonl was altered" in caplog.text
    path.write_bytes(content[:where])  # lines are lost
    assert loaded(tmp_path) == (None if where == 3 else 1)


def test_a_log_knows_the_digest_of_what_it_wrote(tmp_path):
    path = tmp_path / "log"
    with MetricsLog(path) as log:
        log.write({"a": 1})
        offset, digest = log.offset, log.digest
        log.write({"a": 2})
        log.truncate(offset)
        assert log.digest == digest == hashlib.sha256(path.read_bytes()).hexdigest()
        log.write({"a": 3})
    with MetricsLog(path) as log:
        assert log.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_second_process_says_so_and_leaves():
    config = compose(TINY)
    with tree.claim(run_directory(config)), pytest.raises(tree.RunBusy, match=str(os.getpid())):
        execute(config)


def test_the_end_is_kept_and_force_keeps_the_old_one_aside():
    config = compose(TINY)
    first = execute(config)
    assert execute(config) == first
    second = execute(config, force=True)
    assert second["metrics"] == first["metrics"]
    aside = list(run_directory(config).parent.glob(".seed=0-replaced-*"))
    assert len(aside) == 1
    assert json.loads((aside[0] / tree.SUMMARY).read_text()) == first


def test_the_summary_is_whole():
    config = compose(TINY)
    summary = execute(config)
    folder = run_directory(config)
    assert 0 < summary["untrained"]["linear"]["top1"] < summary["metrics"]["linear"]["top1"] <= 1
    assert summary["best"]["chosen_by"] == "validation/knn/top1"
    assert summary["best"]["metrics"].keys() == summary["metrics"].keys()
    assert summary["cost"].keys() >= {
        "seconds",
        "samples_per_second",
        "peak_memory_bytes",
        "device",
    }
    assert summary["protocol"]["evaluators"].keys() == {"linear", "knn"}
    assert len(summary["data"]["digest"]) == 64
    environment = json.loads((folder / tree.ENVIRONMENT).read_text())
    assert summary["digest"] == tree.record_digest(summary, dict(config.values), environment)
    assert not checkpoints(folder / tree.CHECKPOINTS)


def test_no_secret_is_written(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-value")
    config = compose(TINY)
    execute(config)
    for file in run_directory(config).rglob("*"):
        assert not file.is_file() or b"s3cr3t-value" not in file.read_bytes(), file


def test_seeds_differ_and_repeat():
    def loss(seed: int) -> float:
        config = compose([*TINY, f"seed={seed}", "engine.epochs=1"])
        execute(config, force=True)
        line = (run_directory(config) / tree.METRICS).read_text().splitlines()[0]
        return json.loads(line)["train/loss"]

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


def open_loop(tmp_path, *more: str) -> Loop:
    return Loop(make_task(bench := open_bench(compose([*more]), tmp_path, Watcher())), bench)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns(precision, tmp_path):
    loop = open_loop(tmp_path, *TINY, f"engine.precision={precision}", "engine.epochs=10")
    losses = []
    loop.bench.watcher.stepped = lambda step, epoch, values, rate: losses.append(
        values["train/loss"]
    )
    loop.fit(lambda epoch: None)
    assert losses[-1] < 0.98 * losses[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path):
    loop = open_loop(tmp_path, *TINY, "optimizer=sgd", "optimizer.lr=0.5", "engine.epochs=30")
    batch_loss = loop.task.loss

    def poisoned(outputs, batch):
        values = batch_loss(outputs, batch)
        return {"loss": values["loss"] * float("nan")} if loop.step == 14 else values

    loop.task.loss = poisoned
    with pytest.raises(
        RunFailed, match=r"not finite at step 15 \(learning rate 0\.\d+\).*step-0000000"
    ):
        loop.fit(lambda epoch: None)
    state = load_checkpoint(tmp_path / tree.CHECKPOINTS)
    assert all(
        value.isfinite().all() for value in state["task"].values() if value.is_floating_point()
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_not_finite_can_be_skipped(precision, tmp_path):
    loop = open_loop(tmp_path, *TINY, "engine.nonfinite=skip", f"engine.precision={precision}",
                     "engine.clip_norm=1.0")  # fmt: skip
    batch_loss = loop.task.loss

    def poisoned(outputs, batch):
        values = batch_loss(outputs, batch)
        return {"loss": values["loss"] * float("nan")} if loop.step in (3, 9) else values

    loop.task.loss = poisoned
    loop.fit(lambda epoch: None)
    assert loop.skipped == 2
    assert all(p.isfinite().all() for p in loop.task.parameters())


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path):
    base = ["experiment=ce_digits", "model=mlp", "model.hidden=[16]", "augment=none",
            "engine.batch_size=120", "engine.device=cpu"]  # fmt: skip
    whole, parts = (open_loop(tmp_path, *base, f"engine.accumulate={n}") for n in (1, 4))
    batch = next(iter(whole.batches.epoch(0)))
    for loop in (whole, parts):
        loop.backward(batch)
    for one, two in zip(whole.task.parameters(), parts.task.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-7)


def test_a_batch_wide_loss_cannot_be_accumulated(tmp_path):
    with pytest.raises(BadRequest, match="engine.accumulate=2"):
        open_loop(tmp_path, *TINY, "engine.accumulate=2")


def test_the_loop_is_the_plain_loop(tmp_path):
    """Against PyTorch's own words for the same steps: order, rate, clipping, average."""
    loop = open_loop(tmp_path, "experiment=ce_digits", "model=mlp", "model.hidden=[16]",
                     "augment=none", "optimizer=sgd", "optimizer.lr=0.1", "schedule.final=0",
                     "engine.batch_size=100", "engine.epochs=2", "engine.clip_norm=0.7",
                     "engine.ema_decay=0.9", "engine.device=cpu")  # fmt: skip
    data = loop.bench.dataset
    twin = nn.Sequential(copy.deepcopy(loop.task.encoder), copy.deepcopy(loop.task.classifier))
    optimizer = loop.bench.build("optimizer", twin)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, loop.total)
    average = torch.optim.swa_utils.AveragedModel(
        twin, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    average.update_parameters(twin)  # its first update copies
    for epoch in range(2):
        order = torch.randperm(
            len(data.train), generator=torch.Generator().manual_seed(derive(0, "order", epoch))
        )
        for rows in order[: len(order) // 100 * 100].split(100):
            inputs = (data.train.inputs[rows] / 255 - data.mean[0]) / data.std[0]
            loss = nn.functional.cross_entropy(twin(inputs), data.train.targets[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(twin.parameters(), 0.7)
            optimizer.step()
            cosine.step()
            average.update_parameters(twin)
    loop.fit(lambda epoch: None)
    for ours, theirs in zip(loop.task.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    mine = [loop.ema.average[name] for name, _ in loop.task.named_parameters()]
    for ours, theirs in zip(mine, average.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_average_is_applied_and_taken_back():
    layer = nn.Linear(3, 2)
    average = MovingAverage(layer, 0.5)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(2.0)
    average.update()
    with average.applied():
        torch.testing.assert_close(layer.weight, before + 1)
    torch.testing.assert_close(layer.weight, before + 2)


class Streamed:
    """A split that only loads rows, as one too big for memory does."""

    def __init__(self, split: Split) -> None:
        self.inputs_, self.targets = split.inputs, split.targets

    def __len__(self) -> int:
        return len(self.targets)

    def load(self, indices):
        return self.inputs_[indices], self.targets[indices]


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_batches_are_the_resident_ones(workers):
    split = Split(torch.arange(50)[:, None].to(torch.uint8), torch.arange(50))
    resident = Batches(split, 8, 3, CPU)
    streamed = Batches(Streamed(split), 8, 3, CPU, workers=workers)
    for epoch, start in ((0, 0), (1, 2)):
        for one, two in zip(
            resident.epoch(epoch, start), streamed.epoch(epoch, start), strict=True
        ):
            assert torch.equal(one.inputs, two.inputs)
            assert torch.equal(one.targets, two.targets)
            assert torch.equal(one.indices, two.indices)


def test_an_epoch_sees_every_sample_once_in_an_order_of_its_own():
    split = Split(torch.zeros(40, 1, dtype=torch.uint8), torch.arange(40))
    batches = Batches(split, 10, 0, CPU)
    epochs = [torch.cat([batch.targets for batch in batches.epoch(n)]) for n in (0, 1)]
    assert all(epoch.sort().values.equal(torch.arange(40)) for epoch in epochs)
    assert not epochs[0].equal(epochs[1])


def test_a_batch_larger_than_the_set_is_refused(tmp_path):
    with pytest.raises(BadRequest, match="engine.batch_size=5000: larger than the training split"):
        open_loop(tmp_path, *TINY, "engine.batch_size=5000")


@pytest.mark.parametrize("do", [check_words, lambda words: execute(compose(words))])
def test_monitoring_needs_a_validation_split_and_a_chosen_evaluator(do):
    with pytest.raises(BadRequest, match="dataset.validation"):
        do([*TINY, "dataset.validation=0"])
    with pytest.raises(BadRequest, match="engine.monitor=nope/top1"):
        do([*TINY, "engine.monitor=nope/top1"])


def test_after_a_minus_the_least_value_is_the_best():
    asked = [w for w in words("classify") if w != "~evaluator.calibration"]
    config = compose([*asked, "engine.evaluate_every=1", "engine.monitor=-calibration/ece"])
    best = execute(config)["best"]
    lines = (run_directory(config) / tree.METRICS).read_text().splitlines()
    seen = [json.loads(line).get("validation/calibration/ece") for line in lines]
    eces = [value for value in seen if value is not None]
    assert len(eces) == 3
    assert best["value"] == min(eces)
    assert best["epoch"] == 1 + eces.index(min(eces))
    assert best["chosen_by"] == "validation/calibration/ece"


def test_a_full_disk_fails_the_run_in_one_line(monkeypatch):
    from ppr.results import files

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    config = compose(TINY)
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunFailed, match="No space left on device") as failure:
        execute(config)
    assert "\n" not in str(failure.value)


def test_a_failed_run_is_recorded_and_can_be_repeated(monkeypatch):
    import ppr.engine.train

    config = compose(TINY)
    with monkeypatch.context() as patch:
        patch.setattr(ppr.engine.train, "save_weights", lambda *_: (_ for _ in ()).throw(
            RunFailed("the dog ate it")))  # fmt: skip
        with pytest.raises(RunFailed):
            execute(config)
    folder = run_directory(config)
    assert json.loads((folder / tree.FAILURE).read_text())["error"] == "the dog ate it"
    assert tree.state(folder) == "failed"
    execute(config)
    assert tree.state(folder) == "finished"


def test_random_states_come_back():
    seed_everything(5)
    states = random_states(CPU)
    import numpy as np

    drawn = (random.random(), np.random.rand(), torch.rand(3))
    seed_everything(6)
    restore_random_states(states, CPU)
    again = (random.random(), np.random.rand(), torch.rand(3))
    assert drawn[:2] == again[:2]
    assert drawn[2].equal(again[2])


def test_devices_and_precisions():
    assert pick_device("cpu") == CPU
    for wanted in ("cuda:9", "gpu", "cuda:x"):
        with pytest.raises(BadRequest, match="engine.device"):
            pick_device(wanted)
    assert settle_precision("auto", CPU) in ("bf16", "fp32")
    assert settle_precision("fp16", CPU) == "fp16"
    with autocast(CPU, "bf16"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler here")
@pytest.mark.slow
def test_compiled_training_is_the_same_training(tmp_path):
    plain, compiled = (
        open_loop(tmp_path, *TINY, f"engine.compile={value}") for value in ("false", "true")
    )
    batch = next(iter(plain.batches.epoch(0)))
    for loop in (plain, compiled):
        loop.backward(batch)
    for one, two in zip(plain.task.parameters(), compiled.task.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-5)
