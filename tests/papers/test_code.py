"""The digest of a component's code: what changes it, and what must not."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ppr import registry
from ppr.config import code
from ppr.config.syntax import Statement

LOSS = '''"""A loss."""

from __future__ import annotations

import math

from helper import scaled
from ppr.errors import BadRequest
from ppr.registry import component

SLOPE = 2.0


@component("loss")
class Odd:
    """Takes a temperature."""

    def __init__(self, *, temperature: float = 0.5) -> None:
        if temperature <= 0:
            raise BadRequest(f"loss.temperature={temperature}: must be above 0")
        self.temperature = temperature

    def __call__(self, value: float) -> float:
        """The value, scaled."""
        return SLOPE * scaled(value) / math.sqrt(self.temperature)
'''

HELPER = """
def scaled(value: float) -> float:
    return _half(value)

def _half(value: float) -> float:
    return value / 2

def unrelated(value: float) -> float:
    return value * 3
"""

Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """The digest of a plug-in's loss `odd`, from the text of its files."""
    made = 0

    def of(loss: str = LOSS, helper: str = HELPER, folder: str = "") -> str:
        nonlocal made
        made += 1
        file = tmp_path / str(made) / folder / "odd.py"
        file.parent.mkdir(parents=True)
        file.write_text(loss)
        (file.parent / "helper.py").write_text(helper)
        monkeypatch.setattr(registry, "_plugin_files", [])
        registry.add_plugin(file)
        return code.digest("loss/odd")

    yield of  # type: ignore[misc]
    monkeypatch.undo()
    registry._index.cache_clear()
    registry.describe.cache_clear()


def changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


SAME = {
    "comment": ("SLOPE = 2.0", "# steep\nSLOPE = 2.0  # very"),
    "docstring": ('"""The value, scaled."""', '"""Scaled, the value is."""'),
    "no docstring": ('        """The value, scaled."""\n', ""),
    "layout": ("return SLOPE * scaled(value)", "return (SLOPE *\n            scaled(value))"),
    "annotation": ("value: float) -> float", "value: int) -> object"),
    "an error's words": ("must be above 0", "allowed: positive numbers"),
    "an import's place": (
        "        return SLOPE",
        "        from helper import scaled\n\n        return SLOPE",
    ),
    "an unused import": ("import math", "import math\nimport json"),
    "an unused function": ("SLOPE = 2.0", "SLOPE = 2.0\n\n\ndef spare(x):\n    return x"),
}  # fmt: skip

OTHER = {
    "formula": ("* scaled", "+ scaled"),
    "constant": ("SLOPE = 2.0", "SLOPE = 2.5"),
    "a number's type": ("SLOPE = 2.0", "SLOPE = 2"),
    "default": ("float = 0.5", "float = 0.6"),
    "what a name stands for": ("import math\n", "import cmath as math\n"),
    "what a helper's name stands for": ("import scaled", "import unrelated as scaled"),
    "condition": ("temperature <= 0", "temperature < 0"),
    "a statement that binds nothing": ("SLOPE = 2.0", "SLOPE = 2.0\nprint(SLOPE)"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_cannot_change_a_number_is_not_in_it(name: str, digest: Digest) -> None:
    assert digest(changed(LOSS, *SAME[name])) == digest()


@pytest.mark.parametrize("name", OTHER)
def test_what_can_change_a_number_is_in_it(name: str, digest: Digest) -> None:
    assert digest(changed(LOSS, *OTHER[name])) != digest()


def test_a_helper_counts_as_far_as_it_is_used(digest: Digest) -> None:
    assert digest(helper=changed(HELPER, "value / 2", "value / 3")) != digest()
    assert digest(helper=changed(HELPER, "value * 3", "value * 4")) == digest()


def test_where_a_file_lies_is_not_in_it(digest: Digest) -> None:
    assert digest(folder="losses/contrastive") == digest()


def test_a_definition_may_move_to_a_helper(digest: Digest) -> None:
    assert digest(
        changed(LOSS, "SLOPE = 2.0\n", "").replace("import scaled", "import SLOPE, scaled"),
        HELPER + "\nSLOPE = 2.0\n",
    ) == digest()  # fmt: skip


def test_a_loss_of_ppr_that_a_plugin_builds_on_counts(digest: Digest) -> None:
    """The package looks the class up by its name, as a plug-in's author imports it."""
    derived = LOSS.replace("import math\n", "import math\nfrom ppr.losses import {}\n")
    derived = derived.replace("class Odd:", "class Odd({}):")
    one = digest(derived.replace("{}", "FocalLoss"))
    other = digest(derived.replace("{}", "SupConLoss"))
    assert len({one, other, digest()}) == 3
    spec = registry.describe("loss", "focal")
    inside = code._reached(registry.find("loss", "odd"), "Odd")
    assert not any("FocalLoss" in text and text.startswith("(ClassDef") for text in inside)
    digest(derived.replace("{}", "FocalLoss"))
    inside = code._reached(registry.find("loss", "odd"), "Odd")
    assert code._reached(spec.path, spec.symbol) <= inside


def test_every_shipped_component_has_one_and_they_differ() -> None:
    found = {
        f"{kind}/{name}": code.digest(f"{kind}/{name}")
        for kind in registry.KINDS
        for name in registry.names(kind)
    }
    assert len(found) > 200
    assert len(set(found.values())) == len(found)


def test_no_component_leads_into_the_engine() -> None:
    for each in ("task/contrast", "evaluator/linear", "dataset/cifar10"):
        spec = registry.describe(*each.split("/"))
        texts = code._reached(spec.path, spec.symbol)
        names = "Bench", "Subject", "TrainingTask", "Source"
        assert not any(f" name={name!r}" in text for text in texts for name in names)


def test_components_of_a_config() -> None:
    values = {
        "task": {"name": "classify"},
        "dataset": {"name": "part", "of": "digits"},
        "model": {"name": "timm/vit_tiny_patch16_224"},
        "evaluator": {"probe": {"name": "linear"}, "knn": {"name": "knn"}},
        "launcher": {"name": "slurm"},
        "loss": None,
    }
    assert sorted(code.named(values)) == [
        "dataset/digits", "dataset/part", "evaluator/knn", "evaluator/linear", "model/timm",
        "task/classify",
    ]  # fmt: skip


def test_outdated_names_what_differs_or_is_gone() -> None:
    now = code.components({"loss": {"name": "supcon"}, "task": {"name": "contrast"}})
    assert code.outdated(now) == []
    assert code.outdated(now | {"task/contrast": "0" * 12}) == ["task/contrast"]
    assert code.outdated({"loss/gone": "0" * 12}) == ["loss/gone"]


def test_the_text_is_the_same_in_every_python() -> None:
    """Pinned, since one machine has one Python: f-strings, subscripts and type parameters moved."""
    source = '''
@wrap(1, key=b"x")
async def f(a, /, b: int = 1, *c, d, e=None, **g) -> None:
    """Doc."""
    x = f"{a!r:>{b}} and {c['k']}" "plain" f"{d=}"
    y = u"u" + r"\\d" if a is not None else (yield 1e-3)
    match y:
        case {"k": [1, *_], **rest} if rest: z: int = (w := 3)
        case P(q=-1) | None: raise ValueError(f"{y}") from None
    with open(x) as s, t[1:2, ...]: del s
    return {**g, "a": {1, 2j}, **{i: j for i, j in g.items() if i}}, lambda *, n=0: not n
'''
    text = Statement(ast.parse(source).body[0]).text
    assert "Doc" not in text
    assert hashlib.sha256(text.encode()).hexdigest()[:12] == "ea75a042d6db"
