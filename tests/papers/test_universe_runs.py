"""Universes from their words to their runs: factors, the part of a reproduction, paper and plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paper_toy import invoke

from ppr.config.compose import compose
from ppr.errors import BadRequest
from ppr.launchers import estimate
from ppr.papers.words import composed

pytest_plugins = ("paper_tree",)


@pytest.fixture
def asked(own_configs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy paper with one universe of its own, of few runs, and none by itself."""
    monkeypatch.setattr(estimate, "_measured", lambda configs: {})
    file = own_configs / "paper" / "toy.yaml"
    off = ", ".join(
        f'{name}: "not: a toy"'
        for name in ("longer", "higher_rate", "lower_rate", "draw", "width", "metric", "passes")
    )
    named = f'{{three times the rate: "optimizer.lr*=3", {off}}}'
    text = file.read_text("utf-8").replace('universes: "not: a toy"', f"universes: {named}")
    file.write_text(text, "utf-8")
    return file


def test_a_factor_is_of_each_cells_own_value() -> None:
    words = ["experiment=supcon_digits", "optimizer.lr=0.02"]
    assert composed([*words, "optimizer.lr*=3"]).values["optimizer"]["lr"] == pytest.approx(0.06)
    layers = compose(["experiment=ce_digits", "model=mlp", "model.hidden=[64,32]"]).values
    wider = composed(
        ["experiment=ce_digits", "model=mlp", "model.hidden=[64,32]", "model.hidden*=2"]
    )
    assert layers["model"]["hidden"] == [64, 32]
    assert wider.values["model"]["hidden"] == [128, 64]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("optimizer.weight_decy*=3", "did you mean 'weight_decay'"),
        ("optimizer.name*=3", "is no number"),
        ("optimiser.lr*=3", "optimiser.lr*=3: no such key"),
    ],
)
def test_a_factor_of_nothing_is_refused_in_a_line(word: str, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        composed(["experiment=supcon_digits", word])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dry_run_tells_the_parts_apart(asked: Path) -> None:
    shown = invoke("reproduce", "toy/main", "--dry-run").output
    assert "toy/main: 4 runs, 0 done, 4 to do" in shown
    assert "toy/main, universes: 4 runs, 0 done, 4 to do" in shown
    assert "optimizer.lr=" in shown.partition("universes")[2]
    alone = invoke("reproduce", "toy/main", "--part", "universes", "--dry-run").output
    assert alone.startswith("toy/main, universes: 4 runs")


def test_they_are_run_shown_drawn_published_and_verified(asked: Path, tmp_path: Path) -> None:
    assert invoke("reproduce", "toy/main").exit_code == 0
    (verdict,) = (
        each
        for each in json.loads(invoke("paper", "toy", "--json").output)["verdicts"]
        if each["claim"] == "better"
    )
    (spec,) = verdict["multiverse"]["specifications"]
    assert (spec["name"], spec["asked"], spec["done"]) == ("three times the rate", 4, 4)
    assert "three times the rate" in invoke("paper", "toy").output
    assert "specification curve" in invoke("plot", "toy/better").output
    assert invoke("plot", "toy/better", "-o", str(tmp_path / "a.svg")).exit_code == 0
    assert invoke("publish", "toy").output.startswith("8 runs, ")
    assert invoke("verify", "toy").exit_code == 0


def test_one_that_changes_nothing_is_refused_before_any_run(asked: Path) -> None:
    text = asked.read_text("utf-8").replace("optimizer.lr*=3", "optimizer.lr*=1")
    asked.write_text(text, "utf-8")
    with pytest.raises(BadRequest, match="tables.main.universes.three times the rate: "):
        invoke("reproduce", "toy/main", "--part", "universes")
