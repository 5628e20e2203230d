"""`ppr schema`: what editors are told holds for every file that ships, and refuses a slip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from ppr.cli import schema
from ppr.cli.main import cli
from ppr.config import places, usage
from ppr.config.json_schema import experiment_schema
from ppr.config.yaml_files import parse_yaml, read_yaml
from ppr.papers.json_schema import paper_schema

PAPERS = Draft202012Validator(paper_schema())
EXPERIMENTS = Draft202012Validator(experiment_schema())


def faults(kind: Draft202012Validator, document: Any) -> list[str]:
    return [f"{fault.json_path}: {fault.message[:200]}" for fault in kind.iter_errors(document)]


@pytest.mark.parametrize(("kind", "files"), [("paper", PAPERS), ("experiment", EXPERIMENTS)])
def test_every_file_that_ships_is_valid(kind: str, files: Draft202012Validator) -> None:
    files.check_schema(files.schema)
    documents = {name: read_yaml(path) for name, path in places.config_files(kind).items()}
    assert len(documents) > 100
    wrong = {name: found for name, said in documents.items() if (found := faults(files, said))}
    assert not wrong


PAPER = """
title: A
year: 2020
family: f
tables:
  t:
    title: T
    scale: desk
    metric: linear/top1
    rows: {A: a, B: {value: b, metric: "untrained/${metric}"}}
    columns: {x: 1}
    cell: experiment=${row}
    universes: [draw, metric]
    reported: {source: table 1, read: figure, precision: 0.1, A: {x: 97.5}, B: {x: {value: 2}}}
claims:
  c: {says: S, kind: finding, test: greater, cells: [t.A, t.B], universes: "not: exact"}
"""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("family: f", "famly: f"),
        ("year: 2020", "year: soon"),
        ("scale: desk", "scale: dask"),
        ("scale: desk", "scale: desk\n    settings: tuned"),
        ("{value: b,", "{valeu: b,"),
        ("[draw, metric]", "[drew]"),
        ("[draw, metric]", "{mnist: not at all}"),
        ("precision: 0.1", "precision: often"),
        ("{x: 97.5}", "{x: many}"),
        ("{value: 2}", "{value: 2, spraed: 1}"),
        ("test: greater", "test: grater"),
        ("kind: finding", "kind: found"),
        ('"not: exact"', '"no"'),
    ],
)
def test_a_slip_in_a_paper_is_seen(right: str, wrong: str) -> None:
    assert not faults(PAPERS, parse_yaml(PAPER.encode(), Path("a.yaml")))
    assert right in PAPER
    assert faults(PAPERS, parse_yaml(PAPER.replace(right, wrong).encode(), Path("a.yaml")))


EXPERIMENT: dict[str, Any] = {
    "defaults": ["supcon_digits", {"override /loss": "supcon"}, "_self_"],
    "loss": {"temperature": 0.2},
    "model": {"name": "timm/vit_tiny"},
    "evaluator": {"knn": {"k": 5}, "linear": None},
    "engine": {"epochs": 3, "batch_size": "${model.hidden}"},
    "inputs": {"start": "experiment=supcon_digits"},
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"defaults": [{"override /loss": "supcom"}]},
        {"defaults": ["supcon_digit"]},
        {"lose": {}},
        {"loss": {"temprature": 0.2}},
        {"loss": {"temperature": -1.0}},
        {"evaluator": {"knn": {"bins": 1}}},
        {"engine": {"epochs": 0}},
        {"scale": "desktop"},
    ],
)
def test_a_slip_in_an_experiment_is_seen(wrong: dict[str, Any]) -> None:
    assert not faults(EXPERIMENTS, EXPERIMENT)
    assert faults(EXPERIMENTS, EXPERIMENT | wrong)


@pytest.mark.parametrize("room", [[], ["--room", "my_room"]])
def test_the_files_of_ppr_new_name_the_schema_that_lies_there(
    room: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "text", lambda what: json.dumps({"title": what}))
    CliRunner().invoke(cli, ["new", "paper", "my_own", "--into", str(tmp_path), *room])
    for kind in ("paper", "experiment"):
        (file,) = (tmp_path / "configs" / kind).rglob("*.yaml")
        named = file.read_text().split("$schema=")[1].split()[0]
        assert json.loads((file.parent / named).read_text()) == {"title": kind}
    assert usage.headline(file).startswith("My own on digits")
