"""The one reader of YAML: what it takes, what it refuses in one line, and who stays unharmed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ppr.cli.main import cli
from ppr.config import bodies, places
from ppr.config.compose import compose
from ppr.config.yaml_files import dump_yaml, parse_yaml, read_yaml
from ppr.errors import BadRequest

HEAD = "# @package _global_\n"
BODY = "defaults: [supcon_digits, _self_]\nloss: {temperature: 0.25}\n"


def laughs() -> str:
    """Ten levels of nine references each: 9^10 values from a few lines."""
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 11)]
    return "a0: &a0 [ha]\n" + "".join(lines)


REFUSED = {
    "empty": (b"", "is empty"),
    "a comment": (b"# mine\n", "is empty"),
    "a word": (b"hello", "must be a mapping"),
    "a list": (b"- a", "must be a mapping"),
    "a tab": (b"a:\n\tb: 1\n", ":2: not YAML"),
    "a bracket": (b"a: [1\nb: 2\n", "not YAML"),
    "a quote": (b"a: 'x\n", "not YAML"),
    "a key twice": (b"a: 1\nb: 2\na: 3\n", ":3: 'a' stands there twice"),
    "a key twice below": (b"a: {b: 1,\n b: 2}\n", ":2: 'b' stands there twice"),
    "Latin-1": ("a: 1\nb: é\n".encode("latin-1"), ":2: not UTF-8"),
    "UTF-16": ("a: 1\n".encode("utf-16"), ":1: not UTF-8"),
    "NUL": (b"a: \0\n", "not YAML"),
    "a list as key": (b"? [a, b]\n: 1\n", "a key must be a word"),
    "a tag": (b"a: !!python/object/apply:os.system [touch x]\n", ":1: the tag"),
    "a tag of a type": (b"a: !!int x\n", "not YAML"),
    "two documents": (b"a: 1\n---\nb: 2\n", "not YAML"),
    "no such anchor": (b"a: *b\n", "not YAML"),
    "a circle": (b"a: &x [*x]\n", "circle"),
    "deep": (b"a: " + b"[" * 3000 + b"]" * 3000, ""),
    "laughs": (laughs().encode(), "values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_slip_is_one_line_with_the_file(name: str) -> None:
    content, says = REFUSED[name]
    with pytest.raises(BadRequest) as refusal:
        parse_yaml(content, Path("mine.yaml"))
    message = str(refusal.value)
    assert message.startswith("mine.yaml:")
    assert says in message
    assert "\n" not in message
    assert len(message) < 200


READ = {
    "1e-3": 0.001, "1.5E3": 1500.0, "-.5": -0.5, "3.": 3.0, "1_000": 1000, "-7": -7, "0": 0,
    "010": "010", "0x10": "0x10", "1:30": "1:30", "yes": "yes", "off": "off", "2024-01-01":
    "2024-01-01", "1e": "1e", "true": True, "False": False, "~": None, "null": None, "": None,
    "1.0.0": "1.0.0", "'1'": "1", "1e400": float("inf"),
}  # fmt: skip


@pytest.mark.parametrize("written", READ)
def test_numbers_and_words_are_those_of_the_command_line(written: str) -> None:
    value = parse_yaml(f"a: {written}\n".encode(), Path("mine.yaml"))["a"]
    assert (type(value), value) == (type(READ[written]), READ[written])


def test_keys_are_what_is_written() -> None:
    assert parse_yaml(b"0.10: 1\ntrue: 2\nnull: 3\n1: 4\n", Path("f")) == {
        "0.10": 1, "true": 2, "null": 3, "1": 4,
    }  # fmt: skip


def test_a_byte_order_mark_and_other_line_ends_are_passed_over() -> None:
    assert parse_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", Path("f")) == {"a": 1, "b": 2}


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=12) | (
    st.floats(allow_nan=False)) | st.sampled_from([*READ, "12e5", "on", "="])  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=3), min_size=1))
def test_what_is_written_reads_back_here_and_elsewhere(values) -> None:
    text = dump_yaml(values)
    assert parse_yaml(text.encode(), Path("f")) == values
    assert yaml.safe_load(text) == values


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(BadRequest, match="is no file"):
        read_yaml(tmp_path / "x.yaml")


@pytest.fixture
def own(tmp_path: Path, monkeypatch) -> Path:
    """A folder of a user's own configs, in use."""
    monkeypatch.setattr("ppr.config.places._own_folders", [])
    for group in ("experiment", "loss", "evaluator", "paper"):
        (tmp_path / group).mkdir()
    places.add_config_dir(tmp_path)
    return tmp_path


HEADERS = {
    "first": HEAD,
    "after a comment": "# Mine.\n" + HEAD,
    "after a mark": "\ufeff" + HEAD,
    "after a document's start": "---\n" + HEAD,
    "after a blank line": "\n" + HEAD,
    "none": "",
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_experiments_values_count_wherever_its_header_stands(name: str, own: Path) -> None:
    (own / "experiment" / "mine.yaml").write_text(HEADERS[name] + BODY, encoding="utf-8")
    config = compose(["experiment=mine"])
    assert config["loss"]["temperature"] == 0.25
    assert config.experiment == "mine"


WRONG_EXPERIMENTS = {
    "an unknown key": (BODY + "nonsense: 1\n", "nonsense"),
    "its own name": (BODY + "experiment: other\n", "experiment"),
    "a section of Hydra's": (BODY + "hydra: {run: {dir: x}}\n", "hydra"),
    "a circle": ("defaults: [mine, _self_]\n", "mine → mine"),
    "defaults a word": ("defaults: supcon_digits\n", "must be a list"),
    "defaults a mapping": ("defaults: {loss: supcon}\n", "must be a list"),
    "defaults a number": ("defaults: [3]\n", "must be an experiment"),
    "defaults nested": ("defaults: [[supcon_digits]]\n", "must be an experiment"),
    "defaults of no group": ("defaults: [{override /los: x}]\n", "no such group"),
    "defaults without override": ("defaults: [{loss: supcon}]\n", "override"),
    "no such parent": ("defaults: [supcon_digit]\n", "'supcon_digits'"),
    "no such option": ("defaults: [supcon_digits, {override /loss: supcn}]\n", "'supcon'"),
    "an option that is a number": ("defaults: [supcon_digits, {override /loss: 3}]\n", "quote it"),
    "a key that is a word of YAML's": (BODY + "engine: {true: 2}\n", "engine.true"),
    "a section that is a word": (BODY + "engine: hello\n", "engine"),
    "an evaluator that is a word": (BODY + "evaluator: knn\n", "evaluator"),
    "an input that is cut": (BODY + "inputs: {start: 'experiment=\"x'}\n", "inputs.start"),
    "the environment": (BODY + 'tracker: {group: "${oc.env:HOME}"}\n', "config is data"),
    "the clock": (BODY + 'tracker: {group: "a${now:%Y}"}\n', "config is data"),
    "no such reference": (BODY + 'data: {root: "${nope}"}\n', "data.root"),
    "a reference in a circle": (BODY + 'data: {root: "${data.root}"}\n', "data.root"),
    "an old octal": (BODY + "seed: 010\n", "seed='010'"),
}


@pytest.mark.parametrize("name", WRONG_EXPERIMENTS)
def test_a_slip_in_an_experiment_is_one_line(name: str, own: Path) -> None:
    text, says = WRONG_EXPERIMENTS[name]
    (own / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadRequest) as refusal:
        compose(["experiment=mine"]).run_id  # noqa: B018
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_evaluator_of_ones_own_needs_no_header(own: Path) -> None:
    (own / "evaluator" / "near.yaml").write_text("name: knn\nk: 3\n")
    (own / "evaluator" / "odd.yaml").write_text("# @package loss\nname: knn\n")
    assert compose(["experiment=apl_digits", "evaluator=near"])["evaluator"]["knn"]["k"] == 3
    with pytest.raises(BadRequest, match="@package loss"):
        compose(["experiment=apl_digits", "evaluator=odd"])


def test_a_changed_file_is_read_again(own: Path) -> None:
    file = own / "loss" / "mine.yaml"
    file.write_text("name: supcon\ntemperature: 0.5\n")
    assert bodies.option_body("loss/mine")["temperature"] == 0.5
    file.write_text("name: supcon\ntemperature: 0.25\n")
    assert bodies.option_body("loss/mine")["temperature"] == 0.25


GOOD_PAPER = "title: A\nyear: 2020\nfamily: mine\nurl: https://a.org\n"


@pytest.mark.parametrize("command", ["papers", "list", "papers --json"])
def test_a_bad_file_takes_down_no_list(command: str, own: Path, capsys) -> None:
    for name, content in {"broken": b"title: [\n", "latin": b"title: \xe9\n", "empty": b""}.items():
        (own / "paper" / f"{name}.yaml").write_bytes(content)
        (own / "experiment" / f"{name}.yaml").write_bytes(content)
        (own / "loss" / f"{name}.yaml").write_bytes(content)
    (own / "paper" / "Wrong.yml").write_text(GOOD_PAPER)
    (own / "paper" / "good_one.yaml").write_text(GOOD_PAPER)
    cli.main(command.split(), standalone_mode=False)
    shown = capsys.readouterr().out
    assert ("good_one" if "papers" in command else "supcon_digits") in shown
    if command == "papers":
        for name in ("broken.yaml:", "latin.yaml:1", "empty.yaml:", "Wrong.yml"):
            assert name in shown
