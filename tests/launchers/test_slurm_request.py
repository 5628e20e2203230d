"""What of a request and of its shell reaches SLURM: sbatch and the batch script, without a cluster.

`test_slurm.py` has the same on a real one.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ppr.launchers import job
from ppr.launchers.batch import guarded, options, refuse_half, refuse_path
from ppr.launchers.queue import submitting
from ppr.results.failure import note_failure

pytest_plugins = ("sweeping",)

SWEEP = "run -m seed=0,1 launcher=slurm"


@pytest.mark.parametrize(
    "variable",
    [
        "SBATCH_TIMELIMIT=5", "SBATCH_EXPORT=NONE", "SBATCH_OUTPUT=x", "SBATCH_ARRAY_INX=0",
        "SBATCH_MEM_PER_NODE=1", "SBATCH_NO_REQUEUE=1", "SBATCH_CLUSTERS=other",
        "SLURM_EXPORT_ENV=NONE", "SLURM_MEM_PER_CPU=100", "SLURM_CPUS_PER_TASK=3",
        "SLURM_NTASKS=2", "SLURM_JOB_ID=7", "SRUN_EXPORT_ENV=NONE", "SQUEUE_STATES=R",
        "SINFO_FORMAT=x", "SACCT_FORMAT=x", "SCONTROL_ALL=1",
    ],
)  # fmt: skip
def test_the_shells_variables_do_not_reach_sbatch(ppr, fake_slurm, monkeypatch, variable):
    name, value = variable.split("=")
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("MY_OWN", "kept")
    assert ppr(SWEEP).code == 0
    had = fake_slurm.environment()
    assert name not in had
    assert (had["SLURM_CONF"], had["MY_OWN"]) == ("/etc/slurm.conf", "kept")
    assert os.environ[name] == value  # nor is the shell's own lost


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("partition", "launcher.partition=p"), ("account", "launcher.account=a"),
        ("constraint", "launcher.constraint=c"), ("qos", "launcher.sbatch={qos:long}"),
        ("reservation", "launcher.sbatch={reservation:r}"),
    ],
)  # fmt: skip
def test_a_default_of_the_shell_holds_until_a_word_says_otherwise(
    ppr, fake_slurm, monkeypatch, option, words
):
    name = f"SBATCH_{option.upper()}"
    monkeypatch.setenv(name, "mine")
    ppr(SWEEP)
    assert fake_slurm.environment()[name] == "mine"
    ppr(f"run -m seed=2,3 launcher=slurm {words}")
    assert name not in fake_slurm.environment()


def test_the_step_has_the_scripts_environment(ppr, fake_slurm):
    ppr(SWEEP)
    (step,) = [line for line in fake_slurm.script() if line.startswith("srun ")]
    assert "--export=ALL" in step.split()


def test_an_environment_that_was_hidden_comes_back_though_sbatch_refuses(monkeypatch):
    monkeypatch.setenv("SBATCH_QOS", "low")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    before = dict(os.environ)
    seen = []

    def refuse() -> None:
        with submitting(["qos"]):
            seen.append(dict(os.environ))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        refuse()
    hidden = {name for name in before if name.startswith(("SBATCH_", "SLURM_"))}
    assert before.keys() - seen[0].keys() == hidden >= {"SBATCH_QOS", "SLURM_NTASKS"}
    assert dict(os.environ) == before


def test_a_job_has_the_folders_of_the_shell(ppr, fake_slurm, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in {"PPR_DATA": "data", "PPR_CACHE": "~/cache", "HF_HOME": "/hub"}.items():
        monkeypatch.setenv(name, value)
    Path("data").mkdir()
    assert ppr(SWEEP).code == 0
    pickles = Path(os.environ["PPR_RESULTS"]).glob(".sweeps/*/jobs/*submitted.pkl")
    found = [pickle.loads(path.read_bytes()).function.places for path in pickles]
    places = {"PPR_DATA": f"{tmp_path}/data", "PPR_CACHE": f"{tmp_path}/cache", "HF_HOME": "/hub"}
    assert found == [places, places]


@pytest.mark.parametrize("letter", ["%", "\\", "\n"])
def test_a_path_that_slurm_would_read_otherwise_is_refused(ppr, fake_slurm, monkeypatch, letter):
    root = Path(os.environ["PPR_RESULTS"]).with_name(f"a{letter}j b")
    monkeypatch.setenv("PPR_RESULTS", str(root))
    refused = ppr(SWEEP)
    assert refused.code == 2
    assert refused.error.startswith(f"launcher=slurm: SLURM takes no {letter!r} in the path")
    assert fake_slurm.calls() == []
    assert not list(root.glob(".sweeps/*"))
    refuse_path(Path('/it\'s "quoted" $HOME;#'))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("launcher.account='y\ntouch x'", "account='y\\ntouch x': must have no control characters"),
        ("launcher.partition='y\ttouch'", "partition="),
        ("launcher.constraint='\x1b[2J'", "constraint="),
        ("launcher.sbatch={comment: 'a\nb'}", "sbatch.comment="),
        ("launcher.sbatch={wrap: 'touch x'}", "wrap: is ppr's own to set"),
        ("launcher.sbatch={open-mode: truncate}", "open-mode: is ppr's own to set"),
        ("launcher.sbatch={a b: c}", "'a b': must be an option's long name"),
        ("launcher.time=99999999999", "must be at most 4294967293 minutes"),
        ("launcher.setup=['if true; then']", "must be a whole command of bash ("),
    ],
)
def test_a_word_that_would_be_more_than_an_option_is_refused(ppr, fake_slurm, word, said):
    refused = ppr(SWEEP, word)
    assert refused.code == 2
    assert said in refused.error
    assert fake_slurm.calls() == []


def test_an_option_that_is_false_is_left_out():
    assert options({"exclusive": False, "mail-user": "a"}) == {"mail_user": "a"}


# A setup that fails


@pytest.mark.parametrize(
    ("setup", "code", "said"),
    [
        (["true", "X=1 # note", "for i in 1 2; do\n  true\ndone", "true \\"], 0, "trained 1"),
        (["true", "false || false", "echo never"], 1, "unprepared <false || false> <1>"),
        (["nosuchcommand --x 'a b'"], 127, "unprepared <nosuchcommand --x 'a b'> <127>"),
        (["exit 3"], 3, "unprepared <exit 3> <3>"),
        (["exit"], 1, "unprepared <exit> <0>"),
        (["set -e", "false; true"], 1, "unprepared <false; true> <1>"),
        ([], 0, "trained "),
    ],
)
def test_a_job_stops_at_the_first_setup_that_fails(setup, code, said):
    for command in setup:
        refuse_half(command)
    lines = guarded(setup, "told") or []
    script = ["told() { echo \"unprepared <$1> <$2>\"; }", *lines, 'echo "trained $X"']  # fmt: skip
    command = ["bash", "-c", "\n".join(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (code, f"{said}\n")


def test_what_failed_is_left_in_the_runs_of_the_job(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(job, "still_running", lambda name: name == "7")
    folders = [tmp_path / "a", tmp_path / "b"]
    record = SimpleNamespace(points_of_jobs=lambda: {"7": [0, 1]}, run_folder=folders.__getitem__)
    (tmp_path / "sweep.json").touch()
    monkeypatch.setattr(job, "load", lambda folder: record)
    job.after_setup(tmp_path, "module load nope", 1)
    said = "launcher.setup: 'module load nope' failed with code 1"
    assert capsys.readouterr().out == f"ppr: {said}\n"
    for folder in folders:
        assert json.loads((folder / "failure.json").read_text())["error"] == said
    note_failure(folders[0], "another")
    monkeypatch.setenv("SLURM_JOB_ID", "8")  # it is being cancelled
    job.after_setup(tmp_path, "module load nope", 1)
    assert json.loads((folders[0] / "failure.json").read_text())["error"] == "another"
