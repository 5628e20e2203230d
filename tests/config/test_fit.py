"""A task, its loss, data, model and head fit one another, or are refused before data are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ppr
from ppr import registry
from ppr.cli.check import check_words
from ppr.cli.main import cli
from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.config.fit import FAMILIES, WORDS, declared
from ppr.config.places import config_files
from ppr.config.schema import check_config
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.run import make_task, open_bench

EXPERIMENTS = {
    "classify": "ce_digits model=mlp augment=none",
    "classify_groups": "improvability_gaussians",
    "continual": "plasticity_digits",
    "contrast": "simclr_temperature",
    "contrast_nodes": "grace_block_model",
    "distill": "kd_digits",
    "federate": "fed_a_gem_digits",
    "generate": "ict_ring",
    "match": "clip_digits",
    "merge": "merge_disjoint_digits",
    "mine": "mine_digits",
    "pot": "pot_block_model",
    "predict": "next_token_series",
    "prune_iteratively": "imp_digits",
    "recommend": "bpr_low_rank",
    "ticket": "imp_ticket_digits",
}
"""An experiment of each task that trains."""
STUDIES = {"ccem": "ccem_infonce", "first_loss": "ce_zero_bias_anchors task=first_loss"}
"""Of each study that is not named as its experiment."""

FIELDS: dict[str, dict[str, Any]] = {"diet_ssl": {"features": 128}, "w_mse": {"whiten": False}}


def taking_losses() -> list[str]:
    return [n for n in registry.names("task") if "losses" in registry.describe("task", n).declared]


def with_loss(config: Config, loss: str) -> tuple[dict[str, Any] | None, str]:
    """The config with another loss, or None and why it is refused."""
    node = {"name": loss, **FIELDS.get(loss, {})}
    try:
        return check_config({**config.values, "loss": node}), ""
    except BadRequest as error:
        return None, str(error)


@pytest.mark.parametrize("task", taking_losses())
def test_every_loss_trains_or_is_refused_in_a_line(task: str, tmp_path: Path) -> None:
    experiment = f"experiment={(EXPERIMENTS | STUDIES).get(task, task)}"
    base = compose([*experiment.split(), "scale=smoke", "engine.device=cpu"])
    trained = []
    for loss in registry.names("loss"):
        values, said = with_loss(base, loss)
        if values is None:
            assert re.fullmatch(rf"loss '{loss}' .*; allowed: [\w, …()]+", said)
            continue
        trained.append(loss)
        if task in EXPERIMENTS:
            config = replace(base, values=values)
            make_task(open_bench(config, tmp_path, Watcher())).check()
    assert trained


REFUSED = {
    "clip_digits loss=ntxent": ["'ntxent' is of the family contrastive", "two-tower", "siglip"],
    "clip_digits loss=cross_entropy": ["classification, loss(logits, target)", "infonce"],
    "ce_digits loss=asl": ["reads several labels a sample", "'digits' gives one class", "focal"],
    "ce_digits loss=kd": ["family distillation", "'classify' takes classification", "focal"],
    "ce_digits loss=null": ["'classify' needs one"],
    "ce_digits dataset=digit_labels": ["'cross_entropy'", "gives several labels", "allowed: asl"],
    "ce_digits dataset=planar": ["takes images, not vectors", "mlp"],
    "ce_digits dataset=planar model=mlp augment=crop_flip": ["augment", "not vectors"],
    "ce_digits dataset=cora model=mlp": ["not nodes of a graph"],
    "ce_digits dataset=digit_scenes model=mlp": ["gives a class at each position"],
    "ce_digits model=gru": ["takes tokens, not images", "mlp"],
    "ce_digits model=unet": ["features of each position", "mlp"],
    "ce_digits head=projection": ["gives an embedding", "allowed: cosine, linear"],
    "grace_block_model loss=supcon": ["shows its loss no targets", "ntxent"],
    "grace_block_model model=mlp": ["not a graph", "allowed: gcn"],
    "grace_block_model dataset=digits": ["needs a graph", "allowed: block_model, planetoid"],
    "improvability_gaussians dataset=planar": ["needs the group of each sample", "adult"],
    "plasticity_digits dataset=digits ~sampler": ["needs a stream of tasks", "task_stream"],
    "next_token_series model=mlp": ["takes images or vectors, not tokens", "allowed: gru"],
    "bpr_low_rank dataset=digits": ["gives images", "needs users", "low_rank_feedback"],
    "bpr_low_rank model=mlp": ["not users", "allowed: matrix_factorisation"],
    "ict_ring loss=siglip": ["family two-tower", "allowed: consistency"],
}


@pytest.mark.parametrize("words", REFUSED)
def test_parts_that_do_not_fit_are_refused_in_a_line(words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        compose(f"experiment={words}".split())
    assert "\n" not in str(caught.value)
    for said in REFUSED[words]:
        assert said in str(caught.value)


FITTING = (
    "simclr_temperature dataset=digit_labels",  # a loss that reads no labels
    "simclr_temperature dataset=digit_scenes",
    "clip_digits dataset=digit_labels",
    "ce_digits model=mlp augment=none dataset=planar",
    "ce_digits model=gcn model.hidden=[8] augment=none dataset=planar",
    "simclr_temperature head=linear",
    "asl_digit_labels loss=binary_focal",
    "ce_digits model=mlp dataset=one_class dataset.of=digits dataset.validation=50",
)


@pytest.mark.parametrize("words", FITTING)
def test_parts_that_fit_are_not(words: str) -> None:
    check_words(f"experiment={words}".split())


def test_every_loss_has_a_family_and_every_word_is_known() -> None:
    for kind in registry.DECLARED:
        for name in registry.names(kind):
            said = dict(registry.describe(kind, name).declared)
            families = {*said.pop("family", ()), *said.pop("losses", ())}
            assert families <= FAMILIES.keys()
            for field in ("like", "finds", "takes", "keeps"):  # of fields, kinds, and settings
                said.pop(field, None)
            assert {word for words in said.values() for word in words} <= WORDS.keys()
            if kind == "loss":
                assert families
            if kind == "dataset" and "tables" not in said.get("has", ()):  # rows have no targets
                assert {"inputs", "targets"} <= declared(
                    kind, {"name": name, "of": "digits"}
                ).keys()


PLUGIN = """
from ppr.registry import component
from ppr.losses import InfoNCELoss

@component("loss", name="mine_undeclared")
class Undeclared:
    def forward(self, a, b): ...

@component("loss", name="mine_of_a_base")
class OfABase(InfoNCELoss): ...

@component("loss", name="mine_other", family="own-family")
class Other: ...
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(registry, "_plugin_files", [])
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    registry.add_plugin(file)
    yield file
    registry._index.cache_clear()
    registry.describe.cache_clear()


def test_a_plugins_loss_declares_its_family_or_is_told_how(plugin: Path) -> None:
    config = compose(["experiment=clip_digits"])
    _, said = with_loss(config, "mine_undeclared")
    assert f'write @component("loss", family="two-tower") in {plugin}' in said
    assert with_loss(config, "mine_of_a_base")[0]
    _, said = with_loss(config, "mine_other")
    assert "of the family own-family; task 'match' takes two-tower, loss(a, b)" in said


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('@component("loss", famly="two-tower")', "did you mean 'family'"),
        ('@component("loss", family=FAMILY)', "must be a literal word"),
        ('@component("tracker", inputs="image")', "there are none"),
    ],
)
def test_a_mark_that_declares_nonsense_is_refused(
    mark: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(f"{mark}\nclass Wrong: ...\n")
    monkeypatch.setattr(registry, "_plugin_files", [])
    registry.add_plugin(file)
    kind = mark.split('"')[1]
    with pytest.raises(BadRequest, match=said):
        registry.describe(kind, "wrong")
    monkeypatch.undo()
    registry._index.cache_clear()
    registry.describe.cache_clear()


def test_show_states_the_family() -> None:
    shown = CliRunner().invoke(cli, ["show", "loss/siglip"]).output
    assert "family: two-tower, loss(a, b)" in shown
    assert "tasks: ccem, contrastive_gradients, gradient_cache, match" in shown


def test_a_configs_own_name_is_built_with_its_fields() -> None:
    built = ppr.build("loss", "binary_focal", gamma_positive=1.0)
    assert type(built) is type(ppr.build("loss", "asl"))
    assert (built.gamma_positive, built.gamma_negative, built.clip) == (1.0, 2.0, 0.0)
    for option in config_files("loss"):
        ppr.build("loss", option, **FIELDS.get(option, {}))
