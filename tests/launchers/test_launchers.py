"""Sweeps: planning, refusals, several runs at a time on this machine, what is left of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ppr.config.compose import compose
from ppr.config.overrides import parse
from ppr.config.places import run_path
from ppr.engine.interrupts import stop_on_signal
from ppr.errors import BadRequest
from ppr.launchers import launch, plan, process
from ppr.launchers.batch import minutes
from ppr.launchers.estimate import estimate
from ppr.launchers.execute import execute
from ppr.launchers.opening import open_sweep
from ppr.launchers.outcome import print_outcome
from ppr.launchers.queue import job_states
from ppr.launchers.recorded import Recorded
from ppr.results.files import write_json
from ppr.results.lock import claim
from ppr.results.tree import FAILURE

pytest_plugins = ("sweeping",)

REFUSED = {
    "seed=range(0,0)": ("seed=range(0,0)", "empty"),
    "seed=0,1,0": ("same run", "seed=0"),
    "seed=0,1 seed=2": ("seed=0,1 and seed=2", "give it once"),
    "seed=0,1 task.rat=2": ("task.rat", "did you mean 'rate'"),
    "task.rate=1,-1": ("task.rate=-1", "greater than 0"),
    "engine.device=cpu,cuda": ("same run", "engine.device=cuda"),
    "launcher=local,slurm": ("launcher", "one value"),
    "launcher.jobs=1,2": ("launcher.jobs", "one value"),
    "results.root=a,b": ("results.root", "one value"),
    "task.rate=interval(0,1)": ("interval", "sweeper"),
    "seed=0,1 launcher=local launcher.jobs=0": ("launcher.jobs=0", "greater than or equal to 1"),
    "seed=0,1 launcher=slrm": ("slrm", "did you mean 'slurm'"),
    "seed=range(0,1001)": ("1,001 runs", "unknown", "--yes"),
    "seed=range(0,1000) task.rate=range(1,1001)": ("1,000,000 runs", "--yes"),
    "seed=range(0,1000000000000)": ("1,000,000,000,000 runs", "--yes"),
    "seed=0,1,2 launcher=local launcher.confirm_above=2": ("3 runs", "--yes", "confirm_above=2"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_sweep_is_refused_before_anything_starts(ppr, words):
    done = ppr(f"run -m {words}")
    assert done.code == 2
    for part in REFUSED[words]:
        assert part in done.error
    assert not Path(os.environ["PPR_RESULTS"]).exists()


@given(
    st.one_of(
        st.lists(st.integers(), min_size=2).map(lambda v: ",".join(map(str, v))),
        st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9)).map(
            lambda v: f"range({v[0]},{v[1]},{v[2]})"
        ),
        st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(
            lambda v: f"range({v[0]}.5,{v[1]},0.5)"
        ),
    )
)
def test_an_axis_is_counted_without_going_through_it(values):
    axis = parse([f"seed={values}"])[0]
    assert plan._length(axis) == len(list(axis.sweep_string_iterator()))


def test_hours_are_told_from_recorded_runs(ppr):
    words = ["experiment=sweep_toy"]
    root = Path(os.environ["PPR_RESULTS"])
    assert estimate([compose(words)], root).origin == "1 more unknown"
    for seed, seconds in ((0, 3600.0), (1, 7200.0), (2, 7200.0)):
        _record(compose([*words, f"seed={seed}"]), seconds)
    planned = plan.make_plan([*words, "seed=range(3,8)"])
    left = estimate(planned.configs, planned.root)
    assert (left.seconds, left.origin) == (5 * 7200, "5 from recorded runs")
    assert plan.about(left.seconds, 2) == "about 5.0 hours, 2 at a time"
    refused = ppr("run -m seed=range(0,2000)")
    assert "2,000 runs, about 4,000.0 hours" in refused.error


def test_recorded_seconds_are_of_runs_as_long(ppr):
    """Two epochs tell nothing of three hundred, nor the other way about."""
    root = Path(os.environ["PPR_RESULTS"])
    for epochs, seconds in ((2, 9.0), (300, 120.0)):
        _record(compose(["experiment=sweep_toy", f"engine.epochs={epochs}"]), seconds)
    known = Recorded(root, {"sweep_toy"})
    told = {
        words: known.seconds(compose(["experiment=sweep_toy", *words.split()]))
        for words in (
            "engine.epochs=2 task.rate=0.5",
            "engine.epochs=300 seed=7",
            "engine.epochs=2 launcher=slurm engine.device=cpu",
            "engine.epochs=3",
            "engine.epochs=2 engine.batch_size=8",
            "engine.epochs=2 engine.max_steps=1",
        )
    }
    assert [*told.values()] == [9.0, 120.0, 9.0, None, None, None]


def test_a_sweep_ends_with_its_variants(ppr, capsys):
    words = ["experiment=sweep_toy", "task.rate=1,2", "seed=0,1"]
    planned = plan.make_plan(words)
    sweep, _ = open_sweep(planned, words)
    print_outcome(sweep)
    assert capsys.readouterr().out == ""
    for config, weight in zip(planned.configs[:3], (1.0, 2.0, 0.25), strict=True):
        _record(config, 1.0, {"toy": {"weight": weight}})
    print_outcome(sweep)
    # Student's t with one degree of freedom: 12.706 standard errors of 0.5.
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "3 of 4 runs finished",
        "variant toy/weight",
        "task.rate=1 1.5 ± 6.4 (n=2)",
        "task.rate=2 0.2500 (n=1, no interval)",
    ]


def _record(config, seconds: float, metrics: dict | None = None) -> None:
    """A finished run of the tree."""
    folder = run_path(os.environ["PPR_RESULTS"], config.experiment, config.variant, config.seed)
    folder.mkdir(parents=True)
    summary = {"schema": 1, "experiment": config.experiment, "variant": config.variant}
    summary |= {"seed": config.seed, "scale": "desk", "cost": {"seconds": seconds}}
    summary |= {"metrics": metrics or {}}
    write_json(folder / "summary.json", summary)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(config.values)))


@pytest.mark.parametrize(
    ("jobs", "devices", "per_device", "seen"),
    [
        (None, [], 1, [None]),
        (3, [], 1, [None] * 3),
        (None, ["0", "1", "3"], 1, ["0", "1", "3"]),
        (None, ["0", "1"], 2, ["0", "1", "0", "1"]),
        (1, ["2", "5"], 1, ["2"]),
        (3, ["0", "1"], 1, ["0", "1", "0"]),
    ],
)
def test_each_worker_sees_one_gpu(jobs, devices, per_device, seen):
    slots = process.make_slots(jobs, devices, per_device)
    assert [slot.get("CUDA_VISIBLE_DEVICES") for slot in slots] == seen


def test_workers_share_the_cores_unless_told(monkeypatch):
    monkeypatch.setattr(process, "_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [slot.get("OMP_NUM_THREADS") for slot in process.make_slots(3, [])] == ["2"] * 3
    assert process.make_slots(1, []) == [{}]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert process.make_slots(2, []) == [{}, {}]


def test_the_gpus_of_a_job_are_those_that_it_was_given(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-ab")
    assert process.visible_devices("auto") == ["1", "GPU-ab"]
    assert process.visible_devices("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert process.visible_devices("cuda") == []


@pytest.mark.parametrize(
    ("time", "expected"),
    [(30, 30), ("30", 30), ("30:01", 31), ("1:30:00", 90), ("1-12", 2160), ("1-00:30", 1470),
     ("2-01:00:30", 2941)],
)  # fmt: skip
def test_time_is_written_as_slurm_writes_it(time, expected):
    assert minutes(time) == expected


@pytest.mark.parametrize("time", ["", "1h", "1:2:3:4", "0", "0:00", "-5", "1-"])
def test_another_time_is_refused(time):
    with pytest.raises(BadRequest, match=r"launcher\.time"):
        minutes(time)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_ask_to_stop_and_the_flag_is_shared(number):
    before = signal.getsignal(number)
    with stop_on_signal(patient=True) as outer:
        signal.raise_signal(number)
        signal.raise_signal(number)  # a patient one takes it for the same request
        with stop_on_signal() as inner:
            assert inner is outer
        assert outer.received is number
    assert signal.getsignal(number) is before


def test_a_second_signal_acts_at_once():
    # As a process starts: a library that another test has used may have put its own here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_signal() as stop:
            signal.raise_signal(signal.SIGINT)
            assert stop
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_local_sweep(ppr, tmp_path, monkeypatch):
    """Good runs, failing ones, one whose process is killed: each is told of, none hurts another."""
    axes = "task.kills=0,1 engine.batch_size=16,1000"
    done = ppr(f"run -m launcher=local launcher.jobs=2 {axes}")
    assert done.code == 1
    points = ppr.status()
    assert [p["state"] for p in points] == ["finished", "failed", "finished", "failed"]
    assert done.out.startswith("4 runs: 4 to do, hours unknown")
    assert done.err.count("killed by SIGKILL; it goes on") == 1
    assert "2 of 4 runs failed" in done.err
    for point in points[1::2]:
        assert f"{point['words']}  FAILED  {point['error']}  (log: {point['log']})" in done.err
        assert json.loads((Path(point["folder"]) / FAILURE).read_text())["error"] == point["error"]
        assert "1000" in point["error"]
        assert "BadRequest" in Path(point["log"]).read_text()

    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "other"))
    for kills, point in enumerate(points[::2]):
        alone = compose(["experiment=sweep_toy", f"task.kills={kills}"])
        alone.folder.mkdir(parents=True)
        (alone.folder / "kills").write_text("x" * kills)  # it has been killed already
        expected = execute(alone)["metrics"]
        folder = Path(point["folder"])
        assert json.loads((folder / "summary.json").read_text())["metrics"] == expected
        logged = (alone.folder / "metrics.jsonl").read_bytes()
        assert (folder / "metrics.jsonl").read_bytes() == logged


def test_a_sweep_that_another_process_is_at_is_waited_for(ppr, monkeypatch):
    """So that what is left when it ends is done, and exit code 0 means that all is there."""
    monkeypatch.setattr(launch, "LOOK_SECONDS", 0.01)
    words = ["experiment=sweep_toy", "seed=0,1"]
    made, _ = open_sweep(plan.make_plan(words), words)
    held, let_go = threading.Event(), threading.Event()

    def other() -> None:
        with claim(made.folder):
            held.set()
            let_go.wait(30)

    todo = []
    monkeypatch.setattr(launch, "_launch", lambda order: todo.extend(order.configs) or 0)
    thread = threading.Thread(target=other)
    thread.start()
    held.wait(30)
    threading.Timer(0.2, let_go.set).start()
    done = ppr("run -m seed=0,1")
    thread.join()
    assert re.search(rf"^sweep {made.id}: waits for pid {os.getpid()} ", done.out, re.MULTILINE)
    assert (done.code, sorted(todo)) == (0, [0, 1])


def test_a_sweep_again_does_what_is_left(ppr):
    failing = ppr("run -m seed=0,1 task.fails=false,true")
    assert failing.code == 1
    first = ppr.newest()
    assert f"2 of 4 runs failed; again: ppr sweep retry {first}\n" in failing.err
    assert "another run now" in ppr("sweep retry", "engine.epochs=2").error
    for point in ppr.status(first):
        if point["state"] == "failed":
            assert point["error"] == "it was told to fail"
            (Path(point["folder"]) / "mended").touch()
    assert "told to fail" in ppr("sweep logs").out
    again = ppr(f"sweep retry {first}")
    assert again.code == 0
    assert again.out.startswith("4 runs: 2 done, 2 to do, about")
    assert ppr.newest() == first
    assert all(point["state"] == "finished" for point in ppr.status(first))
    finished = ppr("run -m task.fails=true,false seed=1,0")  # the same sweep in another order
    assert finished.out.startswith(f"4 runs: 4 done (sweep {first})\n4 of 4 runs finished\nvariant")
    printed = ppr("run -m seed=0,1 task.fails=false,true --json").out
    assert [json.loads(line)["seed"] for line in printed.splitlines()] == [0, 0, 1, 1]
    assert ppr(f"sweep retry {first}").error.endswith("no run has failed or been cut off")
    assert ppr(f"sweep cancel {first}").error.endswith("nothing of it is running or queued")
    assert "runs 0 to 3" in ppr(f"sweep logs {first} 7").error


@pytest.mark.slow
def test_cancel_saves_what_is_running(ppr):
    words = ["run", "--config-dir", str(ppr.configs), "-m", "experiment=sweep_toy", "seed=0,1,2"]
    words += ["launcher=local", "launcher.jobs=2", "task.step_seconds=0.1", "engine.epochs=100"]
    process = subprocess.Popen(
        [*ppr.command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            root = Path(os.environ["PPR_RESULTS"])
            ppr.until(lambda: len(list(root.glob("*/*/*/checkpoints/step-*.pt"))) >= 2)
            ppr.until(lambda: [p["state"] for p in ppr.status()].count("running") == 2)
            assert ppr("sweep list").out.count("2 running, 1 queued") == 1
            assert ppr(f"sweep cancel {ppr.newest()}").code == 0
            out, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, out
    assert out.count("stopped, saved") == 2
    assert "3 runs left" in out
    assert [p["state"] for p in ppr.status()] == ["interrupted", "interrupted", "not started"]


# ------------------------------------------------------------ SLURM's commands, played by scripts


def test_states_come_from_squeue_or_sacct_or_both(commands):
    commands("squeue", "printf '7_1|RUNNING\\n7_2|PENDING\\n'")
    assert job_states(["7_0", "7_1", "7_2", "9"]) == {"7_1": "RUNNING", "7_2": "PENDING"}
    commands("sacct", "printf '7_0|COMPLETED\\n7_1|PENDING\\n7_[3-4]|CANCELLED by 0\\n9|FAILED\\n'")
    assert job_states(["7_0", "7_1", "7_3", "9"]) == {
        "7_0": "COMPLETED", "7_1": "RUNNING", "7_3": "CANCELLED", "9": "FAILED",
    }  # fmt: skip
    commands("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert job_states(["9"]) == {"9": "FAILED"}


def test_without_sbatch_it_says_so_and_leaves_nothing(ppr, commands):
    commands("srun", "")
    refused = ppr("run -m seed=0,1 launcher=slurm")
    assert refused.code == 2
    assert "sbatch is not on this machine" in refused.error
    assert list(Path(os.environ["PPR_RESULTS"], ".sweeps").iterdir()) == []


def test_a_sweep_is_one_array(ppr, fake_slurm):
    assert ppr("run -m seed=range(0,40) launcher=slurm launcher.array_parallelism=8").code == 0
    assert fake_slurm.calls() == ["sbatch"]
    (script,) = Path(os.environ["PPR_RESULTS"]).glob(".sweeps/*/jobs/*submission.sh")
    assert "#SBATCH --array=0-39%8" in script.read_text()


def test_the_launchers_fields_reach_sbatch(ppr, fake_slurm):
    fields = ["partition=p", "account=a", "time='1-00:00:00'", "gpus=2", "memory_gb=1.5", "cpus=3"]
    fields += ["constraint=v100", "setup=['module load cuda']", "signal_delay=30"]
    fields += ["runs_per_job=2", "sbatch={qos: long, exclusive: true}"]
    ppr("run -m seed=0,1 launcher=slurm", *(f"launcher.{field}" for field in fields))
    (script,) = Path(os.environ["PPR_RESULTS"]).glob(".sweeps/*/jobs/*submission.sh")
    lines = script.read_text().splitlines()
    for option in (
        "partition=p", "account=a", "time=1440", "gpus-per-node=2", "mem=1536MB",
        "cpus-per-task=3", "nodes=1", "constraint=v100", "signal=USR2@30", "qos=long", "exclusive",
    ):  # fmt: skip
        assert f"#SBATCH --{option}" in lines
    assert not any("--array" in line for line in lines)  # two runs packed are one job
    assert lines.index("module load cuda") < lines.index("export SUBMITIT_EXECUTOR=slurm")


def test_a_run_on_several_nodes_has_a_task_for_each_device(ppr, fake_slurm):
    several = "engine.devices=4 launcher.nodes=2 launcher.gpus=4"
    assert ppr(f"run -m seed=0,1 launcher=slurm {several}").code == 0
    (script,) = Path(os.environ["PPR_RESULTS"]).glob(".sweeps/*/jobs/*submission.sh")
    lines = script.read_text().splitlines()
    for option in ("nodes=2", "ntasks-per-node=4", "gpus-per-node=4"):
        assert f"#SBATCH --{option}" in lines
    assert any(line.startswith("srun ") and "--kill-on-bad-exit=1" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "engine.devices=3",
            "engine.batch_size=16: 3 devices take equal shares of it; use 15 or 18",
        ),
        (
            "launcher.nodes=3",
            "engine.batch_size=16: 3 devices take equal shares of it; use 15 or 18",
        ),
        ("launcher.gpus=4", "did you mean engine.devices=4?"),
        ("launcher.gpus=1 engine.devices=2", "launcher.gpus=1: a run is on engine.devices=2"),
        (
            "launcher.runs_per_job=2 launcher.nodes=2",
            "launcher.runs_per_job=2: its runs share a job",
        ),
    ],
)
def test_nodes_and_devices_that_do_not_fit_are_refused(ppr, fake_slurm, words, said):
    refused = ppr(f"run -m seed=0,1 launcher=slurm {words}")
    assert refused.code == 2
    assert said in refused.error
    assert fake_slurm.calls() == []


@pytest.mark.parametrize(("takes", "cancelled"), [(2, [" 41 42", " 42 41"]), (0, [])])
def test_a_refused_array_takes_the_others_back(ppr, fake_slurm, takes, cancelled):
    fake_slurm("scontrol", "echo 'MaxArraySize = 2'")
    (fake_slurm.folder / "takes").write_text(str(takes))
    refused = ppr("run -m seed=range(0,5) launcher=slurm")
    assert refused.code == 2
    assert refused.error == (
        "launcher=slurm: sbatch refuses: QOSMaxSubmitJobPerUserLimit; "
        "Batch job submission failed: Job violates policy"
    )
    assert refused.err == ""
    last = fake_slurm.calls()[-1]
    assert last == "sbatch" if not cancelled else last.removeprefix("scancel") in cancelled
    assert list(Path(os.environ["PPR_RESULTS"], ".sweeps").iterdir()) == []


def test_a_summary_without_its_seconds_is_passed_over(tmp_path):
    said = {"schema": 1, "experiment": "e", "scale": "desk", "seed": 0, "metrics": {}}
    for variant, cost in {"a" * 10: {}, "b" * 10: {"cost": {"seconds": 7.0}}}.items():
        folder = run_path(tmp_path, "e", variant, 0)
        folder.mkdir(parents=True)
        write_json(folder / "summary.json", said | cost | {"variant": variant})
    known = Recorded(tmp_path, {"e"})
    variants = [SimpleNamespace(experiment="e", variant=v * 10, values={}) for v in "abc"]
    assert [known.seconds(config) for config in variants] == [None, 7.0, None]
