"""The words of a command: what they name, what they come to, and what is refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.config.compose import compose
from ppr.config.overrides import expand
from ppr.config.places import add_config_dir
from ppr.errors import BadRequest

LITERAL = ["~/data", "中文", "/a=b", "#1", "C:\\data", "a;b", "2024-01-01"]


@pytest.mark.parametrize("text", LITERAL)
def test_text_that_the_grammar_has_no_meaning_for_is_text(text):
    assert compose([f"data.root={text}"])["data"]["root"] == text
    assert expand([f"data.root={text}", "seed=0,1"])[1][1] == "seed=1"
    point = expand([f"data.root={text}"])[0]
    assert compose(point)["data"]["root"] == text


def test_an_input_is_said_without_quoting_twice():
    said = "experiment=supcon_digits seed=3"
    assert compose([f"inputs.start={said}"])["inputs"] == {"start": said}


@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 12), st.integers(1, 3))
def test_a_range_of_decimals_has_the_values_that_one_would_write(start, step, count, digits):
    """In integers of the last digit, where nothing is rounded."""
    scale = 10**digits
    ends = (start / scale, (start + step * count) / scale, step / scale)
    points = expand([f"loss.temperature=range({','.join(map(repr, ends))})"])
    values = [float(point[0].split("=")[1]) for point in points]
    assert values == [(start + step * k) / scale for k in range(count)]


REFUSED = {
    "optimizer.lr=inf": ("finite",),
    "optimizer.lr=1e400": ("optimizer.lr=inf", "finite"),
    "optimizer.weight_decay=nan": ("optimizer.weight_decay",),
    "engine.clip_norm=inf": ("finite", "null is none"),
    "seed=99999999999999999999": ("64 bits",),
    "seed=010": ("seed='010'", "integer"),
    "seed=glob(*)": ("glob", "group"),
    "loss@x=ntxent": ("packages", "loss=…"),
    "loss@x.temperature=1": ("packages",),
    "loss=[supcon,ntxent]": ("one loss",),
    "seed=range(0,3,0)": ("step",),
    "data.root=/a,b": ("-m", "quoted twice"),
    "data.root=2024": ("string", "'data.root=\"2024\"'"),
    "tracker.group=${oc.env:HOME}": ("config is data",),
    "data.root=${now:%Y}": ("config is data",),
    "loss.temperature=${nope}": ("loss.temperature", "nope"),
    "scale=paper": ("experiment", "smoke"),
    "seed=" + "[" * 3000: ("cannot read",),
}


@pytest.mark.parametrize("word", REFUSED)
def test_a_wrong_word_is_refused_in_one_line(word):
    with pytest.raises(BadRequest) as refusal:
        compose([word])
    for part in REFUSED[word]:
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "Exception" not in str(refusal.value)
    assert len(str(refusal.value)) < 700


def test_what_is_long_is_shortened():
    with pytest.raises(BadRequest) as refusal:
        compose(["loss=" + "a" * 5000])
    assert "no such loss" in str(refusal.value)
    assert len(str(refusal.value)) < 700


def test_a_glob_goes_over_the_options_of_a_group():
    from ppr.config.places import options

    points = expand(["model=glob(*mlp*)"])
    assert points == [[f"model={name}"] for name in options("model") if "mlp" in name]
    assert points


NAMES = ["2024", "1e3", "true", "0.5", "on"]


def test_an_option_may_be_called_by_a_number_or_a_word_of_yamls(tmp_path, monkeypatch):
    monkeypatch.setattr("ppr.config.places._own_folders", [])
    (tmp_path / "experiment").mkdir()
    for name in NAMES:
        (tmp_path / "experiment" / f"{name}.yaml").write_text("defaults: [supcon_digits, _self_]\n")
    (tmp_path / "experiment" / "other.yml").write_text("defaults: [supcon_digits, _self_]\n")
    add_config_dir(tmp_path)
    for name in NAMES:
        for word in (f"experiment={name}", f'experiment="{name}"', f"experiment=[{name}]"):
            assert compose([word]).experiment == name, word
    assert [compose(p).experiment for p in expand([f"experiment={','.join(NAMES)}"])] == NAMES
    with pytest.raises(BadRequest, match=r"ends in \.yaml: .*other\.yml"):
        compose(["experiment=other"])


@pytest.mark.parametrize("word", ["~evaluator", "evaluator=[]", "evaluator=null"])
def test_no_evaluator_is_said_in_three_ways(word):
    assert compose([word])["evaluator"] == {}
