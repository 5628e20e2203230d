"""A finished run taken up once more: measured again, loaded, exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file

import ppr
from ppr.cli.evaluate import command as evaluate_command
from ppr.cli.export import command as export_command
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.report import model_export
from ppr.results.again import one_run
from ppr.results.tree import records, scan

TRAIN = ["experiment=ce_digits", "engine.max_steps=8", "model=mlp", "augment=none"]


@pytest.fixture(scope="module")
def trained_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    execute(compose([*TRAIN, f"results.root={root}"]), Watcher())
    return root


@pytest.fixture
def root(trained_tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPR_RESULTS", str(trained_tree))
    return trained_tree


def evaluate(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(evaluate_command, [*words, "--json"], catch_exceptions=False)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_same_evaluator_gives_the_same_numbers(root: Path) -> None:
    run = one_run(scan(root), "ce_digits/seed=0")
    again = evaluate("ce_digits/seed=0", "evaluator=[classifier]")
    assert again["metrics"]["classifier"] == run.summary["metrics"]["classifier"]
    assert again["variant"] != run.variant
    assert again["experiment"] == "ce_digits"
    assert again["data"]["digest"] == run.summary["data"]["digest"]


def test_other_evaluators_are_an_independent_computation(root: Path) -> None:
    again = evaluate("ce_digits/seed=0", "evaluator=[knn]", "evaluator.knn.k=1")
    loaded = ppr.load("ce_digits/seed=0", results=root)
    data = loaded.task.bench.dataset
    with torch.no_grad():
        train, test = (loaded.encoder(loaded.prepare(p.inputs)) for p in (data.train, data.test))
    nearest = torch.nn.functional.cosine_similarity(test[:, None], train[None], dim=2).argmax(1)
    hits = data.train.targets[nearest] == data.test.targets
    assert again["metrics"]["knn"]["top1"] == pytest.approx(float(hits.double().mean()))


def test_the_validation_split_and_the_best_epoch_are_others(root: Path) -> None:
    words = ("ce_digits/seed=0", "evaluator=[classifier]", "task.epoch=best")
    found = evaluate(*words, "task.split=validation")
    best = one_run(scan(root), "ce_digits/seed=0").summary["best"]
    assert found["metrics"]["classifier"]["top1"] == best["value"]
    assert found["protocol"]["reported"] == "best epoch on the validation split"


def test_what_does_not_count_does_not_enter_the_id(root: Path) -> None:
    model = f'inputs.model="{" ".join(TRAIN)}"'
    words = ["task=evaluate", model, "evaluator=[knn]"]
    one = compose(["experiment=ce_digits", *words])
    other = compose(["experiment=ce_digits", *words, "engine.epochs=7", "optimizer.lr=0.5"])
    assert one.variant == other.variant
    assert one["loss"] is None
    assert one["model"] is None


def test_a_run_is_evaluated_once(root: Path) -> None:
    before = evaluate("ce_digits/seed=0", "evaluator=[knn]")
    assert evaluate("ce_digits/seed=0", "evaluator=[knn]")["finished"] == before["finished"]
    tasks = [record.config()["task"]["name"] for record in records(root)]
    assert tasks.count("classify") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ce_digits/seed=7"], "no finished run"),
        (["ce_digitz/seed=0"], "did you mean 'ce_digits'"),
        (["ce_digits/seed=0", "loss=supcon"], "loss=supcon: an evaluation takes none of it"),
        (["ce_digits/seed=0", "evaluator=[]"], "evaluator: none chosen"),
        (["ce_digits/seed=0", "dataset=planar", "evaluator=[knn]"], "takes (1, 8, 8)"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(root: Path, words: list[str], said: str) -> None:
    failed = CliRunner().invoke(evaluate_command, words)
    assert isinstance(failed.exception, BadRequest)
    assert said in str(failed.exception)


def test_a_loaded_network_has_the_numbers_of_its_run(root: Path) -> None:
    loaded = ppr.load("ce_digits/seed=0")
    test = loaded.task.bench.dataset.test
    assert loaded.classifier is not None
    with torch.no_grad():
        found = loaded.classifier(loaded.encoder(loaded.prepare(test.inputs))).argmax(1)
    accuracy = float((found == test.targets).double().mean())
    assert accuracy == pytest.approx(loaded.metrics["classifier/top1"])
    assert loaded.classes == tuple(map(str, range(10)))
    assert not loaded.encoder.training


def test_weights_of_another_network_are_refused(root: Path, tmp_path: Path) -> None:
    run = one_run(scan(root), "ce_digits/seed=0")
    assert run.path is not None
    copy = tmp_path / "ce_digits" / run.variant / "seed=0"
    copy.mkdir(parents=True)
    for file in run.path.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    state = torch.load(copy / "model.pt", weights_only=True)
    torch.save(
        {name: tensor for name, tensor in state.items() if "encoder" in name}, copy / "model.pt"
    )
    with pytest.raises(RunFailed, match="not the weights of its config"):
        ppr.load("ce_digits/seed=0", results=tmp_path)
    (copy / "model.pt").unlink()
    with pytest.raises(BadRequest, match="has no weights"):
        ppr.load("ce_digits/seed=0", results=tmp_path)


def test_an_export_holds_the_network_and_its_numbers(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    words = ["ce_digits/seed=0", "-o", str(folder)]
    assert CliRunner().invoke(export_command, words, catch_exceptions=False).exit_code == 0
    loaded = ppr.load("ce_digits/seed=0")
    tensors = load_file(folder / "model.safetensors")
    own = dict(loaded.task.state_dict())
    assert tensors.keys() == own.keys()
    assert all(torch.equal(tensors[name], own[name]) for name in own)
    card = (folder / "README.md").read_text()
    known = yaml.safe_load(card.split("---")[1])
    values = known["model-index"][0]["results"][0]["metrics"]
    assert {"type": "classifier/top1", "value": loaded.metrics["classifier/top1"]} in values
    assert "ppr run experiment=ce_digits engine.max_steps=8" in card
    assert json.loads((folder / "config.json").read_text())["shape"] == [1, 8, 8]
    assert str(root) not in card + (folder / "config.yaml").read_text()
    again = CliRunner().invoke(export_command, words)
    assert "not empty" in str(again.exception)


def test_a_push_that_fails_is_one_line_and_keeps_the_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    sent: list[str] = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, exist_ok: sent.append(name))
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **kw: f"https://hub/{kw['repo_id']}")
    model_export.export(ppr.load("ce_digits/seed=0"), tmp_path / "a")
    assert model_export.push(tmp_path / "a", "me/net") == "https://hub/me/net"
    assert sent == ["me/net"]

    def refuse(self: Any, **words: Any) -> None:
        raise OSError("no network\nmore")

    monkeypatch.setattr(HfApi, "upload_folder", refuse)
    with pytest.raises(RunFailed, match=r"--push me/net: no network; the files are in"):
        model_export.push(tmp_path / "a", "me/net")


def test_a_network_of_timm_is_exported_in_its_layout(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    words = ["experiment=ce_digits", "model.name=timm/resnet10t", "engine.max_steps=1"]
    words += ["evaluator=[]", "engine.evaluate_every=0", f"results.root={tmp_path}"]
    execute(
        compose([*words, "evaluator=[]", "engine.evaluate_every=0", f"results.root={tmp_path}"]),
        Watcher(),
    )
    loaded = ppr.load("ce_digits/seed=0", results=tmp_path)
    model_export.export(loaded, tmp_path / "out")
    body = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    images = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(body(images), loaded.encoder(images))
