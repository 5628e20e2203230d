"""Standard output that is lost, closed, or handed another's control characters."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr import streams
from ppr.cli.main import cli
from ppr.config.compose import compose
from ppr.display.progress import make_watcher
from ppr.engine.interrupts import stop_on_signal
from ppr.launchers import worker
from ppr.launchers.display import make_display
from ppr.results.tree import SUMMARY

pytest_plugins = ("sweeping",)

BAD = "a\x1b]0;title\x07b\x1b[2J\x08\x9b31mc\u202ed"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def steadied(monkeypatch, number: int) -> None:
    """Let standard output be a descriptor, as at the start of a process."""
    stream = os.fdopen(number, "w", closefd=False)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "__stdout__", stream)
    streams.steady_streams()


@pytest.mark.parametrize(
    ("what", "error"), [("reader", None), ("disk", errno.ENOSPC), ("terminal", errno.EIO)]
)
def test_a_write_that_fails_is_dropped(monkeypatch, what, error):
    if what == "disk":
        number = os.open("/dev/full", os.O_WRONLY)
    elif what == "terminal":
        master, number = os.openpty()
        os.close(master)
    else:
        reader, number = os.pipe()
        os.close(reader)
    try:
        steadied(monkeypatch, number)
        for _ in range(3):
            print("x" * 100_000, flush=True)
        assert getattr(streams.lost(), "errno", None) == error
    finally:
        monkeypatch.undo()
        os.close(number)


def test_an_error_that_is_no_loss_is_raised(monkeypatch):
    reader, number = os.pipe()
    os.set_blocking(number, False)
    steadied(monkeypatch, number)
    with pytest.raises(BlockingIOError):
        print("x" * 1_000_000, flush=True)
    monkeypatch.undo()
    os.close(reader)
    os.close(number)


@given(st.text(st.characters(exclude_characters="\x1b", exclude_categories=["Cs"])))
def test_what_is_printed_commands_no_terminal(text):
    file = io.BytesIO()
    stream = streams._Inert(file, encoding="utf-8", newline="")
    stream.write(text + BAD)
    stream.flush()
    turning = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
    harmless = [c for c in text if c in "\n\t\r" or (category(c) != "Cc" and c not in turning)]
    assert file.getvalue().decode() == "".join(harmless) + "a]0;titleb[2J31mcd"


def test_no_password_of_a_url_is_printed():
    file = io.BytesIO()
    stream = streams._Inert(file, encoding="utf-8")
    print("at https://someone:hunter2@host/x", file=stream, flush=True)
    assert file.getvalue() == b"at https://host/x\n"


def test_our_own_colours_and_bars_stay(monkeypatch):
    file = io.BytesIO()
    stream = streams._Inert(file, encoding="utf-8", newline="")
    ours = "\x1b[1;31mred\x1b[0m", "\x1b[?25l\r\x1b[2K\x1b[1A\x1b[2Kbar\x1b[?25h"
    for terminal in (False, True):
        monkeypatch.setattr(stream, "isatty", lambda terminal=terminal: terminal)
        stream.write("".join(ours))
    stream.flush()
    assert file.getvalue().decode() == (f"{ours[0]}[?25l\r[2K[1A[2Kbar[?25h{ours[0]}{ours[1]}")


def shell(ppr, words: str, redirection: str) -> SimpleNamespace:
    """A run of the toy experiment in a process, its output going where a shell sends it."""
    command = [*ppr.command, "run", "--config-dir", str(ppr.configs), "experiment=sweep_toy"]
    line = f'set -o pipefail; "$@" {words} {redirection}'
    return subprocess.run(
        ["bash", "-c", line, "bash", *command],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "redirection"),
    [
        ("seed=1 engine.log_every=1", "| head -n 1"),
        ("seed=1", ">&- 2>&-"),
        ("-m seed=1", "> /dev/full"),
    ],
)
def test_a_run_ends_as_it_would_though_nobody_reads(ppr, words, redirection):
    done = shell(ppr, words, redirection)
    assert done.returncode == 0, done.stderr
    said = "ppr: not all was printed: No space left on device\n"
    assert done.stderr == (said if redirection == "> /dev/full" else "")
    folder = compose(["experiment=sweep_toy", "seed=1"]).folder
    assert (folder / SUMMARY).exists()


def test_the_command_prints_no_one_elses_escapes(tmp_path):
    plugin = tmp_path / "loud.py"
    plugin.write_text(
        f'"""Loud{BAD}"""\nfrom ppr.registry import component\n\n\n@component("loss")\n'
        f'class Loud:\n    """Doc{BAD}"""\n'
    )
    for words in (["show", "loss/loud"], ["list", "loss"]):
        command = [sys.executable, "-m", "ppr", "--plugin", str(plugin), *words]
        shown = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        assert b"loud" in shown
        assert not {27, 7, 8} & set(shown)


def test_a_command_whose_work_is_what_it_prints_fails_on_a_full_disk(monkeypatch, capsys):
    monkeypatch.setattr("ppr.cli.main.lost", lambda: OSError(errno.ENOSPC, "No space left"))
    assert cli.main(["list", "loss"], standalone_mode=False) == 1
    assert capsys.readouterr().err == "ppr: not all was printed: No space left\n"


def test_a_closed_output_is_no_terminal_and_no_file_takes_its_place(tmp_path):
    code = f"""
        import os, sys
        from ppr.streams import steady_streams
        steady_streams()
        print("into nothing", flush=True)
        os.write(1, b"native code too")
        assert not sys.stdout.isatty()
        with open({str(tmp_path / "file")!r}, "w") as file:
            file.write(str(file.fileno() > 2))
    """
    line = '"$0" -c "$1" >&- 2>&-'
    command = ["bash", "-c", line, sys.executable, textwrap.dedent(code)]
    subprocess.run(command, check=True, timeout=60)
    assert (tmp_path / "file").read_text() == "True"


def test_a_log_that_cannot_be_opened_does_not_end_a_run(tmp_path, monkeypatch):
    (tmp_path / "blocked").touch()
    sent = []
    monkeypatch.setattr(os, "dup2", lambda handle, number: sent.append((os.fstat(handle), number)))
    worker._redirect(tmp_path / "blocked" / "0.log")
    assert [number for _, number in sent] == [1, 2]
    assert all(found.st_rdev == os.stat(os.devnull).st_rdev for found, _ in sent)


def test_a_worker_whose_parent_is_gone_tells_nobody():
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    reporter = worker._watcher(theirs, None)
    reporter.started(10, 5, 0)
    reporter.stepped(1, 0.1, {"loss": 1.0}, 5.0)
    worker._tell(theirs, "finished", 0, {})


def test_a_terminal_that_goes_asks_a_run_to_save_and_twice_is_once():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with stop_on_signal() as stop:
            signal.raise_signal(signal.SIGHUP)  # the terminal's
            signal.raise_signal(signal.SIGHUP)  # the shell's
            assert stop.received is signal.SIGHUP
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        with stop_on_signal() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop
    finally:
        signal.signal(signal.SIGHUP, before)


def test_brackets_in_a_bar_are_no_markup(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    sweep = SimpleNamespace(id="s", label=lambda index: f"evaluator=[{'linear,' * index}knn]")
    with make_display(sweep, 2, silent=False) as display:
        for index in (0, 1):
            display.started(SimpleNamespace(index=index))
    for label in ("evaluator=[knn]", "evaluator=[linear,knn]"):
        assert label in terminal.getvalue()
    config = SimpleNamespace(experiment="mine[red]", seed=0, variant="v")
    with make_watcher(config, silent=False) as watcher:
        watcher.started(2, 1, 0)
        watcher.stepped(1, 1.0, {"loss[bold]": 1.0}, 5.0)
        watcher.evaluated(1, 1.0, {"knn[/x]": 0.5})
    for text in ("mine[red]", "loss[bold] 1", "knn[/x] 0.5"):
        assert text in re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
