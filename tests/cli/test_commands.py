"""Commands that are printed can be pasted: they bring what the command line brought."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ppr import commands, registry
from ppr.cli.main import COMMANDS, cli
from ppr.config import places
from ppr.config.places import Extensions


@pytest.fixture(autouse=True)
def own_extensions(monkeypatch):
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [])
    monkeypatch.setattr(commands, "_given", {})


def has_config_dir(name: str) -> bool:
    command: click.Command = importlib.import_module(f"ppr.cli.{name}").command
    return any("--config-dir" in param.opts for param in command.params)


def test_the_commands_with_a_config_dir_are_known():
    assert {name for name in COMMANDS if has_config_dir(name)} == commands.TAKE_CONFIG_DIR


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A plug-in, an experiment of it, and a paper, in a folder whose name a shell would split."""
    folder = tmp_path / "my own"
    done = CliRunner().invoke(cli, ["new", "loss", "mine", "--into", str(folder)])
    assert shlex.split(done.output.splitlines()[-1])[1:4] == ["ppr", "--plugin", str(folder)]
    done = CliRunner().invoke(cli, ["new", "paper", "own", "--into", str(folder)])
    assert shlex.split(done.output.splitlines()[-1])[1:4] == ["ppr", "reproduce", "--config-dir"]
    return folder


@pytest.mark.parametrize("words", [["table", "own"], ["show", "experiment/own_digits"]])
def test_a_printed_command_has_the_plugin(words: list[str], brought: Path):
    done = CliRunner().invoke(cli, ["--plugin", str(brought), *words])
    assert f"ppr --plugin '{brought}' run " in " ".join(done.output.split()), done.output


def test_a_printed_command_has_the_folder_of_configs(brought: Path):
    folder = str(brought / "configs")
    done = CliRunner().invoke(cli, ["table", "--config-dir", folder, "own"])
    assert f"ppr run --config-dir '{folder}' " in " ".join(done.output.split())
    done = CliRunner().invoke(cli, ["table", "supcon/digits"])
    assert "--config-dir" not in done.output  # nor does it stay


def test_what_a_variable_brings_is_not_repeated(brought: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PPR_PLUGINS", str(brought))
    done = CliRunner().invoke(cli, ["show", "loss/mine"])
    assert done.exit_code == 0
    assert commands.command_line("run", "loss=mine") == "ppr run loss=mine"


def test_processes_that_go_on_with_the_work_print_the_same(brought: Path):
    commands.begin([str(brought)])
    commands.note([("--config-dir", "c")])
    passed_on = Extensions.present()
    commands.begin([])
    passed_on.add()
    expected = ["ppr", "--plugin", str(brought), "run", "--config-dir", "c", "seed=1"]
    assert shlex.split(commands.command_line("run", "seed=1")) == expected
    assert "c" not in shlex.split(commands.command_line("sweep", "retry"))
