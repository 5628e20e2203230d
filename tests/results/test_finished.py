"""What is taken for a finished run, what is waited for, and what kills leave behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from multiprocessing import Pipe
from pathlib import Path

import pytest

from ppr.config.compose import compose
from ppr.config.places import Extensions
from ppr.data import hub
from ppr.engine.bench import Watcher
from ppr.errors import RunFailed
from ppr.launchers import worker
from ppr.launchers.execute import execute, execute_when_free
from ppr.launchers.opening import open_sweep
from ppr.launchers.plan import make_plan
from ppr.papers.cache import entries
from ppr.results import files, tree
from ppr.results.failure import read_failure
from ppr.results.finished import finished_summary, input_folder, is_finished
from ppr.results.leftovers import drop_leftovers
from ppr.results.lock import holder
from ppr.results.sweeps import LOCAL
from ppr.trackers.wandb import Wandb

pytest_plugins = ("sweeping",)

TOY = ["experiment=sweep_toy"]


@pytest.fixture
def toy(ppr):
    return compose([*TOY, "engine.epochs=1"])


# ------------------------------------------------------------------------------ one reader for all

DAMAGED = {
    "empty": "",
    "torn": '{"schema": 1, "exper',
    "null": "null",
    "a list": "[]",
    "an object": "{}",
    "a merge conflict": '<<<<<<< ours\n{"schema": 1}\n=======\n{}\n>>>>>>> theirs\n',
    "another schema": '{"schema": 99}',
    "a number that no float holds": '{"schema": 1, "metrics": {"x": 1' + "0" * 400 + "}}",
}


@pytest.mark.parametrize("case", [*DAMAGED, "another seed's"])
def test_a_damaged_summary_finishes_nothing(ppr, toy, case):
    folder = toy.folder
    folder.mkdir(parents=True)
    if case == "another seed's":
        said = {"schema": 1, "experiment": toy.experiment, "variant": toy.variant, "seed": 7}
        content = json.dumps({**said, "metrics": {}})
    elif case.startswith("a number"):
        where = {"experiment": toy.experiment, "variant": toy.variant, "seed": 0}
        content = json.dumps(json.loads(DAMAGED[case]) | where)
    else:
        content = DAMAGED[case]
    (folder / tree.SUMMARY).write_text(content)
    assert not is_finished(toy)
    assert tree.state(folder) == "damaged"
    assert [problem.path for problem in tree.scan(folder.parents[2]).problems] == [folder]
    again = r"summary\.json.*; to run it again: ppr run experiment=sweep_toy \S+ --force$"
    with pytest.raises(RunFailed, match=again) as error:
        finished_summary(toy)
    assert len(str(error.value)) < 400
    with pytest.raises(RunFailed, match=again):
        execute(toy)
    assert (folder / tree.SUMMARY).read_text() == content


def test_run_sweep_and_status_agree_and_force_mends(ppr):
    assert ppr("run engine.epochs=1").code == 0
    folder = compose([*TOY, "engine.epochs=1"]).folder
    (folder / tree.SUMMARY).write_text("")
    for flags in ("", "-q", "--json"):
        refused = ppr(f"run engine.epochs=1 {flags}")
        assert (refused.code, refused.out) == (1, "")
        assert "not JSON" in refused.error
    swept = ppr("run -m engine.epochs=1,2 --json")
    assert swept.code == 1
    assert len(swept.out.splitlines()) == 1
    first, second = ppr.status()
    assert (first["state"], second["state"]) == ("damaged", "finished")
    assert "not JSON" in first["error"]
    assert ppr("run engine.epochs=1 --force").code == 0
    assert finished_summary(compose([*TOY, "engine.epochs=1"])) is not None
    (aside,) = folder.parent.glob(".seed=0-replaced-*")
    assert (aside / tree.SUMMARY).read_text() == ""


def test_an_input_with_a_damaged_summary_is_named(ppr, toy):
    config = compose([*TOY, "inputs={teacher: 'experiment=sweep_toy engine.epochs=1'}"])
    folder = toy.folder
    folder.mkdir(parents=True)
    (folder / tree.SUMMARY).write_text("[]")
    with pytest.raises(RunFailed, match=r"not a JSON object; .*engine.epochs=1 seed=0 --force"):
        input_folder(config.inputs, "teacher")
    with pytest.raises(RunFailed, match=r"not a JSON object; .*engine.epochs=1 seed=0 --force"):
        execute(config)


# ------------------------------------------------------------------------------------ sweep records

RECORDS = {
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "of another version": lambda text: json.dumps(json.loads(text) | {"schema": 2}),
    "without points": lambda text: json.dumps(json.loads(text) | {"points": [3]}),
    "without submissions": lambda text: json.dumps(json.loads(text) | {"submissions": []}),
    "of half a search": lambda text: json.dumps(json.loads(text) | {"search": {"trials": 3}}),
}


def recorded(*words: str) -> str:
    """The id of a sweep that was submitted, and not begun."""
    plan = make_plan([*TOY, *words])
    sweep, places = open_sweep(plan, words)
    sweep.folder.mkdir(parents=True)
    sweep.submitted(plan.launcher, {LOCAL: places})
    return sweep.id


@pytest.mark.parametrize("case", RECORDS)
def test_a_damaged_record_hides_no_other_sweep(ppr, case):
    for seed in ("seed=0", "seed=1"):
        execute(compose([*TOY, "engine.epochs=1", seed]))
    first = recorded("seed=0,1", "engine.epochs=1")
    recorded("seed=2,3", "engine.epochs=1")
    file = Path(os.environ["PPR_RESULTS"], ".sweeps", first, "sweep.json")
    sound = file.read_text()
    file.write_text(RECORDS[case](sound))
    listed = ppr("sweep list")
    assert (listed.code, listed.out.count("2 not started")) == (0, 1)
    assert f"1 problem, left out above:\n  {file}: " in listed.out
    refused = ppr(f"sweep status {first}")
    assert refused.code == 1
    assert str(file) in refused.error
    assert "write it anew" in refused.error
    again = ppr("run -m seed=0,1 engine.epochs=1")
    assert (again.code, again.out.splitlines()[0]) == (0, f"2 runs: 2 done (sweep {first})")
    old, new = (
        [point["run_id"] for point in json.loads(text)["points"]]
        for text in (sound, file.read_text())
    )
    assert old == new
    assert ppr("sweep list").out.count("2 finished") == 1


# -------------------------------------------------------------------------------- runs under way


def held_elsewhere(folder: Path, seconds: float) -> threading.Timer:
    """Hold a run directory as another process does, for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / tree.LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    timer = threading.Timer(seconds, os.close, [handle])
    timer.start()
    return timer


class Told(Watcher):
    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, what: str) -> None:
        self.phases.append(what)


@pytest.mark.parametrize("busy", ["the run", "its input"])
def test_a_run_or_an_input_under_way_is_waited_for(ppr, toy, busy):
    config, watcher = toy, Told()
    if busy == "its input":
        config = compose([*TOY, "inputs={teacher: 'experiment=sweep_toy engine.epochs=1'}"])
    timer = held_elsewhere(toy.folder, 0.8)
    done = execute_when_free(config, watcher)
    timer.join()
    assert done == finished_summary(config)
    assert is_finished(toy)
    assert len([line for line in watcher.phases if "is being run by" in line]) == 1


def test_a_sweep_puts_off_what_another_process_is_at(ppr):
    """Whether that is another sweep, or a worker whose parent was killed."""
    busy = compose([*TOY, "seed=0"]).folder
    timer = held_elsewhere(busy, 8.0)
    swept = ppr("run -m seed=0,1")
    timer.join()
    assert swept.code == 0
    lines = [line for line in swept.out.splitlines() if line.startswith("[")]
    assert "is being run by another process; it comes last" in lines[0]
    assert [line.split()[0:2] for line in lines[1:]] == [["[1/2]", "seed=1"], ["[2/2]", "seed=0"]]
    assert [point["state"] for point in ppr.status()] == ["finished", "finished"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_lost_parent_is_no_failure(ppr, monkeypatch, tmp_path, seeds):
    """A worker whose messages reach nobody goes on until the signal that it sends itself."""
    for name, harmless in {
        "os.setpgid": lambda *_: None,
        "ppr.launchers.worker.stop_when_orphaned": lambda: None,
        "ppr.launchers.worker._redirect": lambda _: None,
    }.items():
        monkeypatch.setattr(name, harmless)

    def together(configs, watcher, ended, force) -> None:
        watcher.started(4, 4, 0)
        for config in configs:
            ended(config, execute(config))

    monkeypatch.setattr("ppr.launchers.together.attempt_together", together)
    configs = [compose([*TOY, f"seed={seed}"]) for seed in range(seeds)]
    ours, theirs = Pipe()
    ours.send(([(config, tmp_path / f"{config.seed}.log") for config in configs], False, None))
    ours.close()
    worker.serve(theirs, {}, Extensions.present())
    folders = [config.folder for config in configs]
    assert [tree.state(folder) for folder in folders] == ["finished"] * seeds


# ------------------------------------------------------------------------------- what kills leave


class Killed(BaseException):
    """A kill, as far as one process can play it."""


class Mortal:
    """Breaks off at the n-th rename of a file written aside, before it or after it."""

    def __init__(self, at: int, after: bool) -> None:
        self.left, self.after = at, after
        self.rename = os.replace
        self.aside: tuple[Path, bytes] | None = None

    def __call__(self, source, target) -> None:
        self.left -= 1
        if self.left:
            self.rename(source, target)
            return
        if self.after:
            self.rename(source, target)
        else:
            self.aside = Path(source), Path(source).read_bytes()
        raise Killed

    def bury(self) -> None:
        """A killed process does not clear up after itself."""
        if self.aside is not None:
            self.aside[0].write_bytes(self.aside[1])


def test_no_kill_leaves_anything_for_good(toy, monkeypatch):
    """Every moment between a file written aside and its name, in a whole run."""
    expected = execute(toy)["metrics"]
    folder, at, points = toy.folder, 0, set()
    while True:
        at, dead = at + 1, 0
        for after in (False, True):
            shutil.rmtree(folder)
            mortal = Mortal(at, after)
            with monkeypatch.context() as patch:
                patch.setattr(files.os, "replace", mortal)
                try:
                    execute(toy)
                except Killed:
                    dead += 1
            mortal.bury()
            points.add(tree.state(folder))
            assert execute(toy)["metrics"] == expected
            names = {path.name for path in folder.rglob("*")}
            assert not names & {"checkpoints", "holder.json", "failure.json"}
            assert not [name for name in names if name.startswith(".")]
        if not dead:
            break
    assert at > 6
    assert points >= {"interrupted", "finished"}


def test_who_finds_a_run_finished_clears_up_after_a_kill(ppr, toy):
    execute(toy)
    folder = toy.folder
    for name in ("step-000000004-0123456789abcdef.pt", ".step-000000004-00.pt.0123abcd"):
        (folder / tree.CHECKPOINTS).mkdir(exist_ok=True)
        (folder / tree.CHECKPOINTS / name).write_text("")
    timer = held_elsewhere(folder, 0.7)
    drop_leftovers(folder)  # somebody is at it: left alone
    assert (folder / tree.CHECKPOINTS).exists()
    timer.join()
    assert ppr("run engine.epochs=1").code == 0
    assert not (folder / tree.CHECKPOINTS).exists()
    (folder / ".model.pt.89abcdef").write_text("")
    (folder / ".mine.txt").write_text("")
    assert ppr("run -m engine.epochs=1").code == 0
    assert [path.name for path in folder.glob(".*")] == [".mine.txt"]


def test_a_refused_request_leaves_no_directory(ppr):
    root = Path(os.environ["PPR_RESULTS"])
    assert ppr("run engine.batch_size=1000").code == 2
    assert not list(root.glob("*"))
    config = compose([*TOY, "engine.batch_size=1000"])
    (config.folder / tree.CHECKPOINTS).mkdir(parents=True)
    assert ppr("run engine.batch_size=1000").code == 2
    assert (config.folder / tree.CHECKPOINTS).exists()


# ------------------------------------------------------------------- what else is read back


@pytest.mark.parametrize("content", ["", "{", "3", "[]", '{"a": 1}', '{"online": {"where": 1}}'])
def test_a_damaged_note_of_what_was_sent_sends_all_anew(tmp_path, content):
    tracker = Wandb()
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "sent.json").write_text(content)
    assert tracker.sent(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"error": 3, "time": ""}'])
def test_a_damaged_failure_is_told_in_its_place(tmp_path, content):
    assert read_failure(tmp_path) == ""
    (tmp_path / tree.FAILURE).write_text(content)
    assert read_failure(tmp_path).startswith(str(tmp_path / tree.FAILURE))
    assert tree.state(tmp_path) == "failed"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "host": "h", "since": "s"}'])
def test_a_damaged_holder_is_somebody(tmp_path, content):
    (tmp_path / tree.HOLDER).write_text(content)
    assert holder(tmp_path) == "another process"


@pytest.mark.parametrize(
    "content",
    ["", "3", "[]", '{"a": 1}', '{"[]": {"digest": 1}}', '{"x": {"digest": "", "variants": {}}}',
     '{"[\\"config\\"]": {"digest": "", "variants": {"[]": [1]}}}'],
)  # fmt: skip
def test_a_damaged_index_of_cells_holds_nothing(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    found = entries(tmp_path / "index.json")
    assert not any(entry["variants"] for entry in found.values())


def test_a_manifest_that_is_no_text_is_one_line(tmp_path):
    (tmp_path / hub.MANIFEST).write_bytes(b"\xff\xfe")
    with pytest.raises(RunFailed, match=r"SHA256SUMS: cannot read"):
        hub.verify(hub.Place("mirror", tmp_path, {}))
