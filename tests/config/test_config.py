"""Composition, checks, overrides and the identity of a run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.config import places
from ppr.config.compose import compose, recorded
from ppr.config.overrides import expand
from ppr.config.places import add_config_dir
from ppr.config.settings import MACHINE_FIELDS
from ppr.config.yaml_files import read_yaml
from ppr.errors import BadRequest

REFUSED = {
    "experiment=supcon_cifr100": ("experiment", "supcon_cifar100"),
    "loss.temprature=0.1": ("loss.temprature", "temperature"),
    "loss.temperature=-1": ("loss.temperature=-1", "greater than 0"),
    "model=resnet5000": ("model=resnet5000", "resnet50"),
    "modle=resnet18": ("modle", "'model'"),
    "optimizer.lr=abc": ("optimizer.lr='abc'", "number"),
    "engine.epoch=3": ("engine.epoch", "epochs"),
    "engine.batch_size=0": ("engine.batch_size=0", "greater than or equal to 1"),
    "engine.precision=fp8": ("engine.precision", "bf16"),
    "seed=x": ("seed='x'", "integer"),
    "scale=huge": ("scale=huge", "smoke"),
    "loss._target_=os.system": ("_target_", "name"),
    "+loss=[a": ("+loss=[a", "key=value"),
    "loss=null": ("loss", "needs"),
    "evaluator.knn.kk=3": ("evaluator.knn.kk", "allowed: k"),
    "evaluator=[knn,lineer]": ("lineer", "linear"),
    "seed=0,1": ("seed=0,1", "-m"),
    "~evaluator.nope": ("nope", "knn"),
    "data.rot=x": ("data.rot", "root"),
    "hydra.run.dir=x": ("hydra", "not used"),
    "model.name=rezznet": ("model 'rezznet'", "resnet"),
}


@pytest.mark.parametrize("word", [word for word in REFUSED if word != "loss=null"])
def test_a_wrong_word_is_refused_in_one_line_that_says_what_is_right(word):
    with pytest.raises(BadRequest) as refusal:
        compose([word])
    message = str(refusal.value)
    assert "\n" not in message
    for part in REFUSED[word]:
        assert part in message


def test_a_field_without_its_component_is_named():
    with pytest.raises(BadRequest, match="loss.temperature: this experiment has no loss"):
        compose(["loss=null", "loss.temperature=0.1"])


def test_words_choose_and_set():
    config = compose(["model=resnet18", "loss.temperature=0.07", "seed=3", "engine.epochs=5"])
    assert config["model"]["name"] == "resnet"
    assert config["model"]["depth"] == 18
    assert config["loss"]["temperature"] == 0.07
    assert config.seed == 3
    assert config["engine"]["epochs"] == 5


def test_another_component_starts_from_its_own_file():
    """An experiment's learning rate for SGD must not become AdamW's."""
    own = read_yaml(places.config_files("optimizer")["adamw"])
    chosen = compose(["experiment=supcon_cifar10", "optimizer=adamw"])["optimizer"]
    assert chosen.items() >= own.items()
    assert "momentum" not in chosen
    named = compose(["experiment=supcon_cifar10", "model.name=torchvision/resnet18"])["model"]
    assert "depth" not in named


def test_the_same_component_keeps_what_the_experiment_says_of_it():
    assert (
        compose(["experiment=supcon_cifar10", "optimizer=sgd"])["optimizer"]
        == compose(["experiment=supcon_cifar10"])["optimizer"]
    )


def test_evaluators_are_chosen_and_dropped():
    assert set(compose(["evaluator=knn"])["evaluator"]) == {"knn"}
    assert set(compose(["~evaluator.knn"])["evaluator"]) == {"linear"}


def test_machine_settings_are_not_in_the_id_and_science_is():
    base = compose([])
    same = ["engine.device=cpu", "engine.workers=7", "results.root=/x", "data.root=/y"]
    assert compose(same).run_id == base.run_id
    assert {"device", "workers"} <= MACHINE_FIELDS
    for word in ("engine.epochs=7", "engine.precision=bf16", "loss.temperature=0.3", "model=mlp",
                 "dataset.split_seed=4", "~evaluator.knn", "scale=smoke"):  # fmt: skip
        assert compose([word]).variant != base.variant, word
    assert compose(["seed=1"]).variant == base.variant
    assert compose(["seed=1"]).run_id != base.run_id


def test_a_default_spelt_out_is_the_same_run():
    assert compose(["engine.accumulate=1", "engine.tf32=true"]).run_id == compose([]).run_id
    assert compose(["loss.temperature=0.5"]).variant == compose(["loss.temperature=5e-1"]).variant


def test_the_id_survives_a_round_trip_through_the_written_config():
    import yaml

    config = compose(["loss.temperature=0.25"])
    read = yaml.safe_load(yaml.safe_dump(dict(config.values)))
    assert recorded(read).variant == config.variant


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 1e3), st.integers(1, 10**6), st.sampled_from(["fp32", "bf16"]))
def test_values_come_back_as_written(temperature, epochs, precision):
    words = [f"loss.temperature={temperature!r}", f"engine.epochs={epochs}",
             f"engine.precision={precision}"]  # fmt: skip
    config = compose(words)
    assert config["loss"]["temperature"] == temperature
    assert config["engine"]["epochs"] == epochs
    assert config["engine"]["precision"] == precision
    assert compose(reversed(words)).run_id == config.run_id


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_no_word_makes_more_than_a_one_line_refusal(word):
    refusal = ""
    try:
        compose([word])
    except BadRequest as error:
        refusal = str(error)
    assert "\n" not in refusal


def test_expand_is_hydras_sweep():
    points = expand(["loss.temperature=0.05,0.1", "seed=range(0,3)", "engine.epochs=2"])
    assert len(points) == 6
    assert points[1] == ["loss.temperature=0.05", "seed=1", "engine.epochs=2"]
    assert expand(["evaluator=[knn,linear]"]) == [["evaluator=[knn,linear]"]]


def test_a_users_own_folder_adds_experiments(tmp_path, monkeypatch):
    monkeypatch.setattr("ppr.config.places._own_folders", [])
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - supcon_digits\n  - _self_\nloss: {temperature: 0.42}\n"
    )
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "supcon.yaml").write_text("name: supcon\nvariant: in\n")
    add_config_dir(tmp_path)
    config = compose(["experiment=mine"])
    assert config["loss"]["variant"] == "in"  # an own file comes before a shipped one of its name
    assert config["loss"]["temperature"] == 0.42
    assert any(str(tmp_path) in file for _, file in config.sources)


CHILD = """# @package _global_
defaults:
  - ce_cifar10_small
  - override /schedule: {schedule}
  - _self_
{body}
"""


def child(folder, monkeypatch, schedule, body=""):
    """An experiment whose parent has a schedule `cosine` with fields of its own."""
    monkeypatch.setattr("ppr.config.places._own_folders", [])
    (folder / "experiment").mkdir()
    text = CHILD.format(schedule=schedule, body=body)
    (folder / "experiment" / "mine.yaml").write_text(text)
    add_config_dir(folder)
    return compose(["experiment=mine"])


def test_what_a_parent_says_of_a_component_does_not_reach_the_one_its_child_chooses(
    tmp_path, monkeypatch
):
    parent = compose(["experiment=ce_cifar10_small"])["schedule"]
    assert parent["name"] == "cosine"
    assert "final" in parent
    step = child(tmp_path, monkeypatch, "step", "schedule: {milestones: [7]}")["schedule"]
    assert (
        step == compose(["experiment=mine", "schedule=step", "schedule.milestones=[7]"])["schedule"]
    )
    assert step["milestones"] == [7]
    assert "final" not in step


def test_a_child_keeps_what_its_parent_says_of_the_component_they_share(tmp_path, monkeypatch):
    mine = child(tmp_path, monkeypatch, "cosine", "schedule: {final: 0.125}")["schedule"]
    assert mine == {**compose(["experiment=ce_cifar10_small"])["schedule"], "final": 0.125}


def test_a_child_can_do_without_a_component_of_its_parent(tmp_path, monkeypatch):
    assert child(tmp_path, monkeypatch, "null")["schedule"] is None


def test_a_child_can_do_without_an_input_of_its_parent():
    started = compose(["experiment=e2mc_digits"])["inputs"]
    assert started
    assert (
        compose(["experiment=e2mc_digits", *(f"inputs.{name}=null" for name in started)])["inputs"]
        == {}
    )


def test_what_an_experiment_says_of_a_default_does_not_reach_what_a_word_chooses(
    tmp_path, monkeypatch
):
    mine = child(tmp_path, monkeypatch, "cosine", "launcher: {jobs: 2}")
    assert mine["launcher"]["jobs"] == 2
    other = compose(["experiment=mine", "launcher=slurm"])["launcher"]
    assert other == compose(["experiment=ce_cifar10_small", "launcher=slurm"])["launcher"]


@pytest.mark.parametrize(
    ("experiment", "kept"),
    [
        ("apl_digits", {"noise": 0.6, "validation": 297}),
        ("sam_digits", {"limit": 300, "validation": 297}),
    ],
)
def test_what_an_experiment_does_to_its_data_it_does_to_the_set_that_a_word_chooses(
    experiment, kept
):
    chosen = compose([f"experiment={experiment}", "dataset=mnist"])["dataset"]
    assert chosen["name"] == "mnist"
    assert chosen.items() >= kept.items()
    said = compose([f"experiment={experiment}", "dataset=mnist", "dataset.limit=50"])["dataset"]
    assert said["limit"] == 50


def test_a_protocol_that_another_data_set_cannot_have_is_refused():
    with pytest.raises(BadRequest, match=r"dataset\.noise=0\.6, and .* no such field"):
        compose(["experiment=apl_digits", "dataset=anchors"])


def test_inputs_are_trained_on_the_data_set_that_a_word_chooses():
    merged = [*compose(["experiment=merge_overlap_digits", "dataset=mnist"]).needed()]
    assert [run.experiment for run in merged] == [
        "merge_pretrained_digits", "merge_finetuned_digits", "merge_finetuned_digits",
    ]  # fmt: skip
    assert {run["dataset"]["of"] for run in merged} == {"mnist"}
    assert [run["dataset"]["classes"] for run in merged[1:]] == [[*range(7)], [*range(3, 10)]]
    mined = compose(["experiment=ticket_digits", "dataset=mnist"]).needed()
    assert [run["dataset"]["name"] for run in mined] == ["mnist"]


def test_an_input_that_a_word_names_stays_as_it_is_said():
    said = "experiment=mine_digits"
    words = ["experiment=ticket_digits", "dataset=mnist", f"inputs.mask={said}"]
    assert compose(words)["inputs"] == {"mask": said}
