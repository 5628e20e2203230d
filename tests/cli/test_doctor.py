"""`ppr doctor`: what it finds, on a machine in order and on broken ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

import ppr
from ppr.cli.doctor import command
from ppr.doctor import machine, services
from ppr.doctor.finding import Finding, run_checks
from ppr.trackers import wandb_account

SECRET = "d0c70" * 8


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)


def put_on_path(monkeypatch, folder, **commands):
    """Make a PATH of the named commands alone, each a line of shell."""
    folder.mkdir()
    for name, line in commands.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}")


def hide(monkeypatch, package):
    """Let a package be as if it were not installed."""
    version, find_spec = machine.version, services.find_spec

    def no_version(name):
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(machine, "version", no_version)
    monkeypatch.setattr(
        services, "find_spec", lambda name: None if name == package else find_spec(name)
    )


def by_name(findings):
    return {finding.check: finding for finding in findings}


def test_a_machine_in_order(capsys, monkeypatch, tmp_path):
    put_on_path(monkeypatch, tmp_path / "bin")
    assert command.main(["--json"], standalone_mode=False) == 0
    said = capsys.readouterr().out
    assert SECRET not in said
    found = {line.pop("check"): line for line in json.loads(said)}
    assert found["ppr"]["says"].startswith(ppr.__version__)
    for check in ("torch", "hydra-core", "wandb", "cpu", "precision on cpu", "results", "cache"):
        assert found[check]["state"] == "ok", found[check]
    assert "fp32" in found["precision on cpu"]["says"]
    assert "GB free" in found["results"]["says"]
    assert "digits" in found["data sets"]["says"]
    assert "not on this machine" in found["slurm"]["says"]
    assert found["wandb key"] == {
        "state": "ok", "says": "set for http://127.0.0.1:9", "advice": ""
    }  # fmt: skip
    assert found["wandb server"]["state"] == "warning"
    assert "tracker.mode=offline" in found["wandb server"]["advice"]
    assert not Path(os.environ["PPR_RESULTS"]).exists()  # it leaves nothing behind


def test_every_line_that_is_amiss_says_what_to_do(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PPR_DATA", str(tmp_path / "absent"))
    put_on_path(monkeypatch, tmp_path / "bin", sinfo="exit 1")
    assert command.main([], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    amiss = [index for index, line in enumerate(lines) if line.startswith("warning")]
    assert len(amiss) == 3  # the data, SLURM, the server
    assert all("->" in lines[index + 1] for index in amiss)
    assert lines[-1] == "3 warnings"


def test_a_laptop_without_a_cluster_and_an_account_is_well(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY")
    for package in ("submitit", "wandb"):
        hide(monkeypatch, package)
    put_on_path(monkeypatch, tmp_path / "bin")
    assert command.main([], standalone_mode=False) == 0
    said = capsys.readouterr().out
    assert said.endswith("all is well\n")
    for package, extra in (("submitit", "slurm"), ("wandb", "wandb")):
        (line,) = [line for line in said.splitlines() if line.split()[1] == package]
        assert line.split("  ")[0] == "ok"
        assert f"pip install 'ppr[{extra}]'" in said
    assert "wandb server" not in said


def test_submitit_is_missed_once_where_there_is_a_cluster(monkeypatch, tmp_path):
    hide(monkeypatch, "submitit")
    put_on_path(monkeypatch, tmp_path / "bin", sbatch="", squeue="", sinfo="echo 'a|up|1'")
    found = [*machine.versions(), *services.cluster()]
    assert [(f.check, f.state) for f in found if "submitit" in f.check + f.says + f.advice] == [
        ("submitit", "warning")
    ]


def test_no_password_of_a_url_is_told(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_BASE_URL", "http://someone:hunter2@127.0.0.1:9")
    put_on_path(monkeypatch, tmp_path / "bin")
    command.main([], standalone_mode=False)
    said = capsys.readouterr().out
    assert "http://127.0.0.1:9" in said
    assert not {"someone", "hunter2"} & set(re.findall(r"\w+", said))


def test_without_torch_and_a_place_for_results_it_still_answers(tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open\\nshared object')")
    blocked = tmp_path / "results"
    blocked.symlink_to("/proc/self")
    paths = [str(tmp_path), str(Path(ppr.__file__).parent.parent)]
    environment = os.environ | {"PYTHONPATH": ":".join(paths), "PPR_RESULTS": str(blocked)}
    run = [sys.executable, "-m", "ppr", "doctor", "--json"]
    done = subprocess.run(
        run, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = [Finding(**line) for line in json.loads(done.stdout)]
    problems = [finding for finding in found if finding.state == "problem"]
    assert [finding.check for finding in problems] == ["torch", "results"]
    assert "libcudart.so: cannot open shared object" in problems[0].says
    assert by_name(found)["wandb key"].state == "ok"


def test_a_check_that_breaks_or_hangs_leaves_the_others_alone():
    def breaks():
        yield Finding("first", "ok", "fine")
        raise ZeroDivisionError("by\nnought")

    def hangs():
        time.sleep(60)
        yield Finding("never", "ok", "")

    def works():
        yield Finding("works", "ok", "fine")

    start = time.monotonic()
    checks = {"breaks": breaks, "hangs": hangs, "works": works}
    first, broken, late, last = run_checks(checks, seconds=0.3)
    assert time.monotonic() - start < 5
    assert (first.check, last.check) == ("first", "works")
    assert (broken.state, broken.says) == (
        "warning",
        "could not be looked at (ZeroDivisionError: by nought)",
    )
    assert (late.check, late.state) == ("hangs", "warning")


@pytest.mark.parametrize(
    ("commands", "state", "says"),
    [
        ({}, "ok", "not on this machine"),
        ({"sinfo": "", "sbatch": ""}, "warning", "squeue: not on PATH"),
        ({"sinfo": "exec /bin/sleep 30"}, "warning", "does not answer"),
        ({"sinfo": "echo 'sinfo: error: no controller' >&2; exit 1"}, "warning", "no controller"),
        (
            {"sinfo": "echo 'gpu|up|4'; echo 'old|down|1'"},
            "ok",
            "gpu (4 nodes), old (1 ",
        ),
    ],
)
def test_slurm(monkeypatch, tmp_path, commands, state, says):
    monkeypatch.setattr(services, "_SECONDS", 0.3)
    if len(commands) == 1:
        commands = {"sbatch": "", "squeue": "", "sacct": "exit 1"} | commands
    put_on_path(monkeypatch, tmp_path / "bin", **commands)
    first, *others = services.cluster()
    assert (first.check, first.state) == ("slurm", state)
    assert says in first.says
    assert all("none kept" in other.says for other in others)


def test_little_room_is_a_warning_and_none_a_problem(monkeypatch, tmp_path):
    for gigabytes, state in ((3, "ok"), (1, "warning"), (0.01, "problem")):
        usage = SimpleNamespace(free=gigabytes * 1e9)
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda path, usage=usage: usage)
        (found,) = machine.results()
        assert found.state == state


def test_a_gpu_that_torch_does_not_see(monkeypatch):
    monkeypatch.setattr(machine, "_driver", lambda: "570.1")
    assert "built for the CPU alone" in machine._no_gpu(None).says
    assert "CUDA_VISIBLE_DEVICES" in machine._no_gpu("13.0").advice


def test_the_server_is_asked_through_no_proxy_and_not_for_long(monkeypatch):
    assert "cannot reach http://127.0.0.1:9" in wandb_account.unreachable(0.5)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.org:3128")
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert wandb_account.unreachable(0.5) == ""
