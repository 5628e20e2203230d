"""The commands as a user types them: what they print, how they fail, what they must not import."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import yaml
from click.testing import CliRunner

from ppr import registry
from ppr.cli.list import summaries
from ppr.cli.main import COMMANDS, cli, main
from ppr.config import places, usage
from ppr.config.yaml_files import read_yaml
from ppr.errors import BadRequest

QUICK = ["model=mlp", "model.hidden=[16]", "engine.epochs=1", "engine.evaluate_every=0",
         "engine.device=cpu"]  # fmt: skip
LIGHT = ["--help", "list", "list loss", "show loss/supcon", "show experiment/supcon_digits",
         "results", "data list", "run --help", "completion bash"]  # fmt: skip


def shell(*words: str, **options) -> subprocess.CompletedProcess[str]:
    """`ppr` in a process of its own, which takes seconds to import torch."""
    command = [sys.executable, "-m", "ppr", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture
def ppr(monkeypatch, capsys):
    """`ppr` as `shell` runs it, in this process."""
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [])

    def call(*words: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["ppr", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code, stdout=shown.out, stderr=shown.err)

    return call


@pytest.mark.parametrize("line", LIGHT)
def test_light_commands_do_not_import_torch(line):
    program = (
        "import sys; from ppr.cli.main import cli\n"
        f"cli({line.split()!r}, standalone_mode=False)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_command_has_help_and_is_listed():
    for name, summary in COMMANDS.items():
        shown = CliRunner().invoke(cli, [name, "--help"])
        assert shown.exit_code == 0
        assert "Usage" in shown.output
        assert summary in CliRunner().invoke(cli, ["--help"]).output.replace(
            "\n              ", " "
        )


WRONG = {
    "run experiment=supcon_cifr100": (2, "did you mean 'supcon_cifar100'"),
    "run loss.temprature=0.1": (2, "did you mean 'temperature'"),
    "run loss.temperature=-1": (2, "greater than 0"),
    "run engine.device=cuda:7": (2, "CUDA devices"),
    "run engine.batch_size=5000": (2, "larger than the training split"),
    "run data.root=/nowhere experiment=supcon_cifar10": (2, "data.root=/nowhere"),
    "rum": (2, "did you mean 'run'"),
    "list lss": (2, "did you mean 'loss'"),
    "show loss/supcn": (2, "did you mean 'supcon'"),
    "--plugin /nowhere.py list": (2, "/nowhere.py"),
    "run --config-dir /nowhere": (2, "/nowhere"),
    "run --nope": (2, "No such option"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_request_is_one_line_and_exit_code_2(line, ppr, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, part = WRONG[line]
    done = ppr(*line.split())
    assert done.returncode == code
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    if "Usage" not in done.stderr:
        assert len(done.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback():
    assert "Traceback" in shell("--debug", "run", "loss.temperature=-1").stderr


def test_run_prints_a_table_and_where_the_results_lie(ppr):
    done = shell("run", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "untrained" in done.stdout
    assert "linear/top1" in done.stdout
    folder = Path(done.stdout.split("results: ")[1].splitlines()[0])
    summary = json.loads((folder / "summary.json").read_text())
    again = ppr("run", "--json", *QUICK)
    assert json.loads(again.stdout) == summary
    assert ppr("run", "--quiet", *QUICK).stdout == ""


def test_cfg_prints_the_config_with_the_file_of_each_group(ppr):
    done = ppr("run", "--cfg", "model=resnet18")
    assert yaml.safe_load(done.stdout)["model"]["depth"] == 18
    assert "# model" in done.stdout
    assert str(Path("configs") / "model" / "resnet18.yaml") in done.stdout


def test_a_sweep_runs_every_point(own_folders):
    done = shell("run", "-m", *QUICK, "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert len(list((own_folders / "results").glob("*/*/seed=*/summary.json"))) == 2


PLUGIN = '''"""Halves of a loss, for a test."""
import torch
from ppr.fields import Positive
from ppr.registry import component


@component("loss", family="contrastive")
class Half(torch.nn.Module):
    def __init__(self, *, share: Positive = 0.5):
        super().__init__()
        self.share = share

    def forward(self, embeddings, labels=None):
        from ppr.losses.contrastive.supcon import supcon
        return self.share * supcon(embeddings, labels, temperature=0.1)
'''


def test_a_plugin_file_adds_a_component_that_works_at_once(tmp_path, ppr):
    file = tmp_path / "half.py"
    file.write_text(PLUGIN)
    assert "Halves of a loss" in ppr("--plugin", str(file), "list", "loss").stdout
    assert "loss.share: Positive = 0.5" in ppr("--plugin", str(file), "show", "loss/half").stdout
    done = ppr("--plugin", str(file), "run", *QUICK, "loss=half", "loss.share=0.25")
    assert done.returncode == 0, done.stderr
    assert (
        "did you mean 'share'"
        in ppr("--plugin", str(file), "run", "loss=half", "loss.shar=1").stderr
    )


def test_an_installed_package_adds_components_and_experiments(tmp_path):
    package = tmp_path / "mine"
    (package / "losses").mkdir(parents=True)
    (package / "configs" / "experiment").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "losses" / "__init__.py").write_text("")
    (package / "losses" / "half.py").write_text(PLUGIN)
    (package / "configs" / "experiment" / "half_digits.yaml").write_text(
        "# @package _global_\n# Half of SupCon.\n"
        "defaults:\n  - supcon_digits\n  - override /loss: half\n"
    )
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ppr.plugins]\nmine = mine\n")
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    assert "Half of SupCon." in shell("list", "experiment", env=env).stdout
    done = shell("run", "experiment=half_digits", *QUICK, env=env)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    assert "_PPR_COMPLETE" in CliRunner().invoke(cli, ["completion", shell]).output


COMPLETED = {
    ("zsh", "ppr run experiment=supcon_c", 2): "experiment=supcon_cifar10",
    ("fish", "ppr run experiment=supcon_c", "experiment=supcon_c"): "experiment=supcon_cifar10",
    ("bash", "ppr run experiment = supcon_c", 4): "supcon_cifar10",
    ("bash", "ppr run exp", 2): "experiment=",
    ("zsh", "ppr run engine.prec", 2): "engine.precision=",
    ("bash", "ppr run loss.te", 2): "loss.temperature=",
    ("zsh", "ppr run loss=triplet loss.mi", 3): "loss.mining=",
    ("bash", "ppr run loss = triplet loss.mi", 5): "loss.mining=",
    ("zsh", "ppr run experiment=ce_digits loss.lab", 3): "loss.label_smoothing=",
    ("bash", "ppr run engine.precision = b", 4): "bf16",
    ("zsh", "ppr run optimizer.decay_norm_and_bias=t", 2): "optimizer.decay_norm_and_bias=true",
    ("bash", "ppr show loss/supco", 2): "loss/supcon",
    ("bash", "ppr list los", 2): "loss",
    ("bash", "ppr table sup", 2): "supcon/digits",
    ("bash", "ppr paper sup", 2): "supcon",
    ("bash", "ppr check supcon_", 2): "supcon_digits",
    ("bash", "ppr plot supcon/", 2): "supcon/digits",
    ("bash", "ppr compare supcon_d", 2): "supcon_digits",
    ("bash", "ppr data check cifar10", 3): "cifar100",
    ("bash", "ppr results publ", 2): "published=",
    ("bash", "ppr results published = t", 4): "true",
    ("bash", "ppr results supcon_d", 2): "supcon_digits",
}


@pytest.mark.parametrize("case", COMPLETED)
def test_words_are_completed(case, monkeypatch):
    shell, line, at = case
    complete = {"_PPR_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": str(at)}
    for name, value in complete.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PPR_RESULTS", str(places.shipped_configs().parent / "results"))
    done = CliRunner().invoke(cli, prog_name="ppr")
    assert COMPLETED[case] in done.output.replace(",", "\n").split(), done.output


def test_bash_sets_no_space_behind_a_key():
    assert "compopt -o nospace" in CliRunner().invoke(cli, ["completion", "bash"]).output


def test_a_tab_is_quick():
    """What takes long to import is not: neither torch, nor Hydra, nor what checks a config."""
    code = (
        "import sys; from ppr.cli.main import cli\n"
        "try: cli.main(prog_name='ppr')\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'hydra', 'scipy', 'numpy', 'rich') if m in sys.modules])"
    )
    typed = {"_PPR_COMPLETE": "bash_complete", "COMP_WORDS": "ppr run loss.te", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | typed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[0:2] == ["plain,loss.temperature=", "[]"]


def test_check_names_the_experiment_that_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr("ppr.config.places._own_folders", [])
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "wrong.yaml").write_text(
        "# @package _global_\ndefaults:\n  - supcon_digits\n  - _self_\nloss: {temprature: 0.1}\n"
    )
    done = CliRunner().invoke(
        cli, ["check", "--config-dir", str(tmp_path), "wrong"], standalone_mode=False
    )
    assert done.return_value == 1
    assert "wrong: loss.temprature" in done.output


KINDS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_every_component_is_described_and_has_a_summary(kind, name):
    spec = registry.describe(kind, name)
    assert len(spec.summary) > 10
    assert "\n" not in spec.summary
    assert registry.load(kind, name).__name__ == spec.symbol


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_option_names_a_component_and_only_its_fields(kind):
    for option, path in places.config_files(kind).items():
        node = dict(read_yaml(path))
        spec = registry.describe(kind, node.pop("name"))
        assert set(node) <= set(spec.fields), option
        assert usage.headline(path) or spec.summary


@pytest.mark.parametrize("kind", ["experiment", *registry.KINDS])
def test_every_line_of_the_list_says_in_words_what_it_is(kind):
    for name, said in summaries(kind).items():
        assert re.match(r"[^/.\s]+[ :]", said), (name, said)  # and no address or file


def test_build_is_the_python_face():
    import torch

    import ppr as package
    from ppr.losses import SupConLoss

    loss = package.build("loss", "supcon", temperature=0.5)
    assert isinstance(loss, SupConLoss)
    embeddings = torch.randn(6, 2, 4)
    assert loss(embeddings, torch.arange(6) % 3).isfinite()
    with pytest.raises(BadRequest, match="did you mean 'temperature'"):
        package.build("loss", "supcon", temprature=0.5)
    with pytest.raises(BadRequest, match="did you mean 'supcon'"):
        package.build("loss", "supcom")
    with pytest.raises(BadRequest, match="unknown kind 'los'"):
        package.build("los", "supcon")


def test_users_of_a_component_are_the_papers_whose_cells_have_it(capsys):
    import json

    def users(what):
        cli.main(["show", what, "--json"], standalone_mode=False)
        return json.loads(capsys.readouterr().out)["papers"]

    assert users("loss/asl") == ["asl"]
    assert users("experiment/sam_digits") == ["sam"]
    assert "supcon" in users("loss/supcon")
    assert not {"sam", "siglip", "focal"} & {*users("loss/supcon")}


def examples():
    """The examples that the help of the commands that only read gives; a clone has no sweep."""
    for name in ("results", "compare", "papers", "table"):
        text = cli.get_command(click.Context(cli), name).help
        for line in re.findall(r"^ *ppr (.*)$", text, re.MULTILINE):
            if "--sweep" not in line:
                yield line.partition(" > ")[0].strip()


@pytest.mark.parametrize("line", [*examples()])
def test_the_examples_of_help_work_in_a_fresh_clone(line, ppr, monkeypatch, tmp_path):
    """There are committed records, and no run of one's own."""
    shipped = places.shipped_configs().parent / "results"
    (tmp_path / "results").mkdir()
    shutil.copy(shipped / "supcon.jsonl", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPR_RESULTS", "results")
    done = ppr(*shlex.split(line))
    assert done.returncode == 0, done.stderr
