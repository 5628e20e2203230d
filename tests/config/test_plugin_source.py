"""What is read of a plug-in's source is read, never run; a slip in it is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppr import registry
from ppr.config.check import check_fields
from ppr.errors import BadRequest

BODY = '''"""What it is."""
from ppr.fields import Annotated, Count, Ge, Literal, Positive
from ppr.registry import component

@component("loss")
class Mine({base}):
    def __init__(self, *, a: {annotation} = {default}) -> None: ...
'''


@pytest.fixture
def described(tmp_path: Path, monkeypatch):
    """Describes a loss of this source."""
    monkeypatch.setattr(registry, "_plugin_files", [])

    def describe(text: str | bytes):
        file = tmp_path / "mine.py"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        registry.add_plugin(file)
        return registry.describe("loss", "mine")

    yield describe
    for known in (registry._index, registry.describe, registry._parse):
        known.cache_clear()


def source(annotation: str = "Positive", default: str = "1.0", base: str = "") -> str:
    return BODY.format(annotation=annotation, default=default, base=base)


SPELT = {
    "Positive": (0.5, -0.5),
    "Annotated[int, Ge(2)] | None": (None, 1),
    "Annotated[float, Interval(gt=0, le=2.5)]": (2.5, 0.0),
    "list[Count]": ([1, 2], [0]),
    "dict[str, int | bool]": ({"b": True}, {"b": "c"}),
    "Literal['in', 'out', 3]": ("in", "inside"),
    "Literal['one']": ("one", "two"),
    "'Count | str'": ("auto", 0),
}


@pytest.mark.parametrize("annotation", SPELT)
def test_a_type_is_read_as_it_is_spelt(annotation: str, described) -> None:
    right, wrong = SPELT[annotation]
    spec = described(source(annotation, "1"))
    check_fields(spec, {"a": right}, "loss")
    with pytest.raises(BadRequest, match=r"loss\.a"):
        check_fields(spec, {"a": wrong}, "loss")


NO_TYPES = [
    "__import__('pathlib').Path('{canary}').touch()",
    "open('{canary}', 'w')",
    "9**9**9**2",
    "exit(7)",
    "1/0",
    "Positive.foo",
    "Positive[3]",
    "int | 3",
    "Annotated[int, open('{canary}', 'w')]",
    "Annotated[int, Ge(open('{canary}', 'w'))]",
    "Annotated[int, Ge()]",
    "Literal[open('{canary}', 'w')]",
    "'1 +'",
    "Unknown",
]


@pytest.mark.parametrize("annotation", NO_TYPES)
def test_an_annotation_is_never_run(annotation: str, described, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    text = annotation.replace("{canary}", str(canary))
    with pytest.raises(BadRequest, match=r"mine\.py:7: field 'a'") as refusal:
        described(source(text))
    assert "\n" not in str(refusal.value)
    assert not canary.exists()


SLIPS = {
    "no Python": ("@component('loss'\nclass", "not Python"),
    "NUL": (source().encode() + b"\0", "not Python"),
    "Latin-1": (source().replace("What", "Wé").encode("latin-1"), "not Python"),
    "itself in a circle": (source(base="Mine").replace("= 1.0", "= 1.0, **k"), "itself"),
    "a default that is run": (source(default="open('x')"), "literal"),
    "no type": (source().replace(": Positive", ""), "has no type"),
    "nothing": ("x = 1\n", "marked"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_one_line(slip: str, described) -> None:
    text, says = SLIPS[slip]
    with pytest.raises(BadRequest) as refusal:
        described(text)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_other_files_of_a_folder_may_be_anything(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(registry, "_plugin_files", [])
    (tmp_path / "mine.py").write_text(source())
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "gone")
    registry.add_plugin(tmp_path)
    assert "mine" in registry.names("loss")
    registry._index.cache_clear()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("exit(7)", "SystemExit: 7"),
    ],
)
def test_a_plugin_that_raises_when_imported_is_one_line(described, line: str, said: str) -> None:
    spec = described(f'"""What it is."""\n{line}\n' + source().split("\n", 1)[1])
    for _ in range(2):  # nor is half of it there the second time
        with pytest.raises(BadRequest) as refused:
            registry.load("loss", "mine")
        assert str(refused.value) == f"{spec.path}:2: raised when it was imported: {said}"
        assert refused.value.__cause__ is not None  # which --debug shows
