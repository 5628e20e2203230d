"""Sweeps on a real SLURM: slurmctld, slurmd and munged on loopback, one for each test process.

The packages come from `scripts/slurm_for_tests/start.sh --install`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ppr.config.compose import compose
from ppr.errors import RunFailed
from ppr.launchers import slurm as launcher
from ppr.launchers.execute import execute
from ppr.launchers.queue import job_states, slurm

pytest_plugins = ("sweeping",)
pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts" / "slurm_for_tests"
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
PATIENCE = 120.0
LONG = (
    "launcher=slurm launcher.time=60"  # within ten minutes submitit takes any stop for a time-out
)


@pytest.fixture(scope="session")
def cluster(worker_id):
    """SLURM_CONF of a cluster of this test process's own."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"no SLURM here ({', '.join(missing)} missing): {SCRIPTS}/start.sh --install")
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 9
    folder = tempfile.mkdtemp(prefix="slurm-")  # a socket's path must be short: not tmp_path
    try:
        subprocess.run([SCRIPTS / "start.sh", folder, str(16817 + 10 * number)], check=True)
        yield f"{folder}/slurm.conf"
    finally:
        subprocess.run([SCRIPTS / "stop.sh", folder], check=True)
        shutil.rmtree(folder)


@pytest.fixture
def sweep(cluster, ppr, monkeypatch):
    """`sweep("seed=0,1")` submits the toy experiment and returns the sweep's id."""
    monkeypatch.setenv("SLURM_CONF", cluster)

    def submit(words: str) -> str:
        done = ppr(f"run -m {LONG} {words}")
        assert done.code == 0, done.error
        assert "submitted as" in done.out
        return ppr.newest()

    return submit


def wait(ppr, sweep: str, *states: str) -> list[dict]:
    """The points of a sweep, once each is in one of these states."""
    end = time.monotonic() + PATIENCE
    while True:
        points = ppr.status(sweep)
        if all(point["state"] in states for point in points):
            return points
        logs = [Path(p["log"]).read_text() for p in points if Path(p["log"]).exists()]
        assert time.monotonic() < end, (points, logs)
        time.sleep(0.5)


def wait_for_steps(ppr, point: dict, steps: int) -> None:
    """Until a run has a checkpoint of so many steps."""
    folder = Path(point["folder"]) / "checkpoints"
    ppr.until(lambda: any(int(p.name.split("-")[1]) >= steps for p in folder.glob("step-*.pt")))


def same_as_undisturbed(point: dict, monkeypatch, tmp_path, *words: str) -> bool:
    """Whether a run ended with the metrics, step by step, of one that nothing happened to."""
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "undisturbed"))
    config = compose(["experiment=sweep_toy", *words])
    expected = execute(config)["metrics"]
    folder, alone = Path(point["folder"]), config.folder
    found = json.loads((folder / "summary.json").read_text())["metrics"]
    logs = [(path / "metrics.jsonl").read_bytes() for path in (folder, alone)]
    return found == expected and logs[0] == logs[1]


def restarts(job: str) -> int:
    shown = slurm("scontrol", "show", "job", job)
    return int(shown.split("Restarts=")[1].split()[0])


def job_state(job: str) -> str:
    return job_states([job])[job]


def test_a_sweep_of_six_runs_is_one_array(ppr, sweep, tmp_path, monkeypatch):
    name = sweep("seed=0,1,2 task.rate=1,2")
    again = ppr(f"run -m {LONG} seed=0,1,2 task.rate=1,2")  # asked twice, submitted once
    assert "under way" in again.out or "6 done" in again.out
    points = wait(ppr, name, "finished")
    assert len({point["job"].split("_")[0] for point in points}) == 1
    ppr.until(lambda: set(job_states(p["job"] for p in points).values()) == {"COMPLETED"})
    assert "6 finished" in ppr(f"sweep status {name}").out
    assert "step 12/12" in ppr(f"sweep logs {name} 3").out
    assert same_as_undisturbed(points[3], monkeypatch, tmp_path, "seed=1", "task.rate=2")


def test_a_run_that_must_stop_is_requeued_and_ends_the_same(ppr, sweep, tmp_path, monkeypatch):
    name = sweep("seed=0,1 engine.epochs=6 task.step_seconds=0.2")
    for point, warning in zip(ppr.status(name), ("SIGUSR1", "SIGTERM"), strict=True):
        wait_for_steps(ppr, point, 5)
        slurm("scancel", "--signal", warning, point["job"])
    for seed, point in enumerate(wait(ppr, name, "finished")):
        assert restarts(point["job"]) == 1
        log = Path(point["log"]).read_text()
        assert "of 24: saved" in log
        assert "resumed at step" in log
        assert same_as_undisturbed(point, monkeypatch, tmp_path, f"seed={seed}", "engine.epochs=6")


def test_a_run_on_two_devices_is_a_job_of_two_tasks(ppr, sweep, tmp_path, monkeypatch):
    words = ["engine.devices=2", "engine.epochs=6", "task.step_seconds=0.2"]
    name = sweep(" ".join(words))
    (point,) = ppr.status(name)
    wait_for_steps(ppr, point, 5)
    slurm("scancel", "--signal", "SIGUSR1", point["job"])
    (point,) = wait(ppr, name, "finished")
    assert restarts(point["job"]) == 1
    assert "NumTasks=2" in slurm("scontrol", "show", "job", point["job"])
    assert "resumed at step" in Path(point["log"]).read_text()
    assert same_as_undisturbed(point, monkeypatch, tmp_path, *words)


def test_a_run_on_two_nodes_is_that_of_two_devices(ppr, sweep, tmp_path, monkeypatch):
    name = sweep("launcher.nodes=2 launcher.partition=pair engine.epochs=2")
    (point,) = wait(ppr, name, "finished")
    shown = slurm("scontrol", "show", "job", point["job"])
    assert "NumNodes=2" in shown
    assert "NumTasks=2" in shown
    words = ["engine.epochs=2", "engine.devices=2"]
    assert same_as_undisturbed(point, monkeypatch, tmp_path, *words)


def is_back(node: str) -> bool:
    """Resume a node; SLURM refuses while it is still taking it down, or has it back already."""
    try:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    except RunFailed:
        return not slurm("sinfo", "-h", "-n", node, "-o", "%t").startswith("down")
    return True


def test_a_run_that_is_preempted_and_whose_node_dies_ends_the_same(
    ppr, sweep, tmp_path, monkeypatch
):
    name = sweep("engine.epochs=8 task.step_seconds=0.2")
    (point,) = ppr.status(name)
    wait_for_steps(ppr, point, 5)
    slurm("sbatch", "-p", "urgent", "-n", "4", "-o", "/dev/null", "--wrap", "true")
    ppr.until(lambda: job_state(point["job"]) == "PENDING")
    saved = Path(point["log"]).read_text().split("stopped at step ")[1].split()[0]
    wait_for_steps(ppr, point, int(saved) + 5)
    node = slurm("sinfo", "-h", "-p", "main", "-o", "%n").split()[0]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    ppr.until(lambda: is_back(node))
    (point,) = wait(ppr, name, "finished")
    assert restarts(point["job"]) == 2
    assert Path(point["log"]).read_text().count("resumed at step") == 2
    assert same_as_undisturbed(point, monkeypatch, tmp_path, "engine.epochs=8")


def test_a_killed_job_goes_on_as_often_as_retries_says(ppr, sweep, tmp_path, monkeypatch):
    name = sweep("task.kills=1,9 launcher.retries=1")
    killed_once, killed_always = wait(ppr, name, "finished", "failed")
    assert killed_once["state"] == "finished"
    assert "resumed at step 6 of 12" in Path(killed_once["log"]).read_text()
    assert killed_always["state"] == "failed"
    assert killed_always["error"] == (
        "its job was killed by SIGKILL; killed 2 times with no warning (launcher.retries=1)"
    )
    assert [restarts(p["job"]) for p in (killed_once, killed_always)] == [1, 1]
    ppr.until(lambda: job_state(killed_always["job"]) == "FAILED")
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "undisturbed"))
    folder = compose(["experiment=sweep_toy", "task.kills=1"]).folder
    folder.mkdir(parents=True)
    (folder / "kills").write_text("x")
    assert same_as_undisturbed(killed_once, monkeypatch, tmp_path, "task.kills=1")


def test_a_failed_run_is_a_failed_job_and_can_be_retried(ppr, sweep):
    name = sweep("seed=0,1 task.fails=true launcher.runs_per_job=2 launcher.jobs=2")
    points = wait(ppr, name, "failed")
    assert [point["error"] for point in points] == ["it was told to fail"] * 2
    ppr.until(lambda: job_state(points[0]["job"]) == "FAILED")
    assert "it was told to fail" in ppr(f"sweep logs {name}").out
    for point in points:
        (Path(point["folder"]) / "mended").touch()
    retried = ppr(f"sweep retry {name} launcher.runs_per_job=1")
    assert "2 to do" in retried.out
    assert len({point["job"] for point in wait(ppr, name, "finished")}) == 2


def test_the_words_hold_whatever_the_shell_says(ppr, sweep, monkeypatch, tmp_path):
    for name, value in {
        "SBATCH_TIMELIMIT": "5", "SBATCH_PARTITION": "pair", "SBATCH_EXPORT": "NONE",
        "SLURM_EXPORT_ENV": "NONE", "SLURM_MEM_PER_CPU": "100", "SQUEUE_STATES": "FAILED",
        "PPR_RESULTS": str(tmp_path / """it's "odd" $HOME;#"""),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = sweep("launcher.partition=main launcher.memory_gb=0.1 launcher.setup=[/bin/true]")
    (point,) = wait(ppr, name, "finished")
    shown = slurm("scontrol", "show", "job", point["job"])
    assert "TimeLimit=01:00:00" in shown
    assert "Partition=main" in shown
    assert "step 12/12" in ppr(f"sweep logs {name} 0").out


def test_a_setup_that_fails_is_the_runs_failure(ppr, sweep):
    name = sweep("seed=0,1 launcher.setup=[/bin/true,nosuchcommand]")
    for point in wait(ppr, name, "failed"):
        assert point["error"] == "launcher.setup: 'nosuchcommand' failed with code 127"
        assert f"ppr: {point['error']}\n" in Path(point["log"]).read_text()
        ppr.until(lambda job=point["job"]: job_state(job) == "FAILED")


def test_cancel(ppr, sweep):
    name = sweep("seed=range(0,6) engine.epochs=200 task.step_seconds=0.1")
    first = ppr.status(name)[0]
    wait_for_steps(ppr, first, 2)
    assert ppr(f"sweep cancel {name[:6]}").out == f"sweep {name}: 6 runs cancelled\n"
    points = wait(ppr, name, "cancelled")
    ppr.until(lambda: set(job_states(p["job"] for p in points).values()) == {"CANCELLED"})
    assert restarts(first["job"]) == 0


def test_a_long_sweep_is_cut_into_arrays(ppr, sweep, monkeypatch):
    monkeypatch.setattr(launcher, "max_array_size", lambda: 2)
    name = sweep("seed=range(0,5) launcher.sbatch={hold:true}")
    jobs = [point["job"].split("_")[0] for point in wait(ppr, name, "queued")]
    assert len(set(jobs)) == 3
    ppr(f"sweep cancel {name}")
    wait(ppr, name, "cancelled")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("launcher.partition=mian", "did you mean 'main'? allowed: main, pair, urgent"),
        ("launcher.gpus=1", "sbatch refuses: "),
        ("launcher.memory_gb=99999", "sbatch refuses: "),
    ],
)
def test_what_slurm_refuses_is_one_line_and_nothing_is_left(ppr, sweep, word, said):
    refused = ppr(f"run -m {LONG} seed=0,1 {word}")
    assert refused.code == 2
    assert said in refused.error
    assert refused.err == ""
    assert list(Path(os.environ["PPR_RESULTS"], ".sweeps").iterdir()) == []


def test_jobs_share_a_study(ppr, sweep):
    """Two jobs ask one study for trials; what a cancelled one leaves, the next command does."""
    words = "sweeper=optuna sweeper.trials=8 task.rate=tag(log,interval(0.1,10)) "
    words += "engine.evaluate_every=1 engine.monitor=toy/score task.step_seconds=0.2"
    name = sweep(words)
    again = ppr(f"run -m {LONG} {words}")
    assert "2 jobs under way" in again.out

    def standing() -> tuple[dict, dict]:
        said = json.loads(ppr(f"sweep status --json {name}").out)
        (row,) = said["chosen"]
        return said["runs"], row

    ppr.until(lambda: standing()[0].get("running") == 2, PATIENCE)
    assert "cancelled" in ppr(f"sweep cancel {name}").out
    ppr.until(lambda: not standing()[0].get("running"), PATIENCE)
    before = [point["folder"] for point in ppr.status(name) if point["state"] != "finished"]
    assert len(before) == 2
    ppr.until(lambda: "submitted as" in ppr(f"run -m {LONG} {words}").out, PATIENCE)
    ppr.until(lambda: standing()[1]["finished"] + standing()[1]["pruned"] == 8, PATIENCE)
    points = ppr.status(name)
    assert len({point["folder"] for point in points}) == len(points) == 8
    assert set(before) <= {point["folder"] for point in points}
    assert {point["state"] for point in points} <= {"finished", "pruned"}
    assert len({point["job"] for point in points}) > 1
    log = next(Path(point["log"]).read_text() for point in points if point["folder"] == before[0])
    assert log.count("ppr run") == 2  # cut off, and gone on with
