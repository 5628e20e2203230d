"""TensorBoard: a run's record replayed to event files, as TensorBoard's own reader finds it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ppr import registry
from ppr.cli.track import command as track
from ppr.config.compose import compose
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.results.files import read_json, read_lines
from ppr.results.lock import RunBusy, claim
from ppr.trackers import live

pytest_plugins = ("sweeping",)

TOY = ["experiment=sweep_toy", "seed=0"]


def shown(where: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(where)).Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def recorded(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for record in read_lines(folder / "metrics.jsonl"):
        for key, value in record.items():
            if key != "step":
                found.setdefault(key, []).append((record["step"], pytest.approx(value)))
    return found


def replay(folder: Path, *words: str) -> str:
    tracker = registry.make("tracker", compose([*TOY, "tracker=tensorboard", *words])["tracker"])
    tracker.check()
    over = threading.Event()
    over.set()
    return tracker.replay(folder, over)


def test_a_run_is_followed_live_in_its_own_process(ppr):
    execute(compose([*TOY, "tracker=tensorboard"]))
    live.finish()
    folder = compose(TOY).folder
    found = shown(folder / "tensorboard")
    summary = read_json(folder / "summary.json")
    assert {k: v for k, v in found.items() if not k.startswith("result/")} == recorded(folder)
    ((_, weight),) = found["result/toy/weight"]
    assert weight == pytest.approx(summary["metrics"]["toy"]["weight"])
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert "_hparams_/experiment" in events.PluginTagToContent("hparams")


def test_what_is_not_true_any_more_is_replaced(ppr, tmp_path):
    assert ppr("run", *TOY).code == 0
    folder = compose(TOY).folder
    where = Path(replay(folder))
    log = folder / "metrics.jsonl"
    log.write_text(log.read_text().replace('"lr": 0.05', '"lr": 0.07'))
    assert Path(replay(folder)) == where
    assert [value for _, value in shown(where)["lr"]] == pytest.approx([0.07] * 12)
    assert len(list(where.glob("events*"))) == 1
    elsewhere = Path(replay(folder, f"tracker.folder={tmp_path}/board"))
    assert elsewhere == tmp_path / "board" / Path(*folder.parts[-3:])
    assert shown(elsewhere) == shown(where)


def test_track_sends_a_finished_run_once(ppr, capsys):
    assert ppr("run", *TOY).code == 0
    capsys.readouterr()
    for said in ("", "there already: "):
        assert track.main(["sweep_toy", "tracker=tensorboard"], standalone_mode=False) == 0
        folder = compose(TOY).folder
        assert capsys.readouterr().out == f"{folder}: {said}{folder.resolve()}/tensorboard\n"
    with claim(folder / "tensorboard"), pytest.raises(RunBusy, match="by pid"):
        replay(folder)


def test_a_folder_that_cannot_be_written_is_refused_before_training(ppr):
    done = ppr("run", *TOY, "tracker=tensorboard", "tracker.folder=/dev/null/x")
    assert (done.code, "tracker.folder=/dev/null/x: cannot be written" in done.error) == (2, True)


def test_a_third_tracker_is_one_file(ppr, tmp_path, monkeypatch):
    """As CONTRIBUTING says: what is here is all there is to it."""
    file = tmp_path / "lines.py"
    file.write_text(LINES)
    registry.add_plugin(file)
    execute(compose([*TOY, "tracker=lines"]))
    live.finish()
    folder = compose(TOY).folder
    numbers = [line["step"] for line in read_lines(folder / "metrics.jsonl")]
    said = (folder / "lines" / "lines.txt").read_text().split()
    assert said == [*map(str, numbers), "finished"]
    with pytest.raises(BadRequest, match="no such field"):
        compose([*TOY, "tracker=lines", "tracker.colour=red"])


LINES = '''"""Writes the steps of a run into a text file."""

from ppr.registry import component
from ppr.trackers.tracker import Tracker


@component("tracker")
class Lines(Tracker):
    folder_name = "lines"
    service = "lines"
    project = ()

    def check(self):
        """It needs nothing."""

    def open(self, folder, values, *, resume):
        return Writer(folder / "lines" / "lines.txt")


class Writer:
    has = 0

    def __init__(self, path):
        self.where, self.file = str(path), path.open("w")

    def log(self, record, number):
        print(record["step"], file=self.file)

    def flush(self):
        self.file.flush()

    def result(self, folder, number):
        print("finished", file=self.file)

    def close(self, complete):
        self.file.close()
'''
