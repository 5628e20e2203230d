"""Checkpoints and exact resume: a run that was killed ends with the same bits."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from ppr.config.compose import compose
from ppr.config.places import run_path
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import checkpoints, load_checkpoint, save_checkpoint
from ppr.engine.interrupts import Interrupted
from ppr.engine.seeding import seed_everything
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.results.files import MetricsLog
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
    config = compose(words(case))
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
    config = compose(TINY)
    with pytest.raises(Interrupted if asked else KeyboardInterrupt):
        execute(config, StopsAtTheEnd(asked))
    state = load_checkpoint(config.folder / tree.CHECKPOINTS)
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
    folder = run_path(tmp_path / "killed", config.experiment, config.variant, config.seed)
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
    whole = run_path(tmp_path / "whole", config.experiment, config.variant, config.seed)
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
    config = compose([*TINY, "engine.checkpoint_seconds=1e9"])

    class Stops(Watcher):
        def stepped(self, step, epoch, values, rate):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        execute(config, Stops())
    assert checkpoints(config.folder / tree.CHECKPOINTS)
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
