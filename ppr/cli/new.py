"""`ppr new`: a working skeleton of a paper, an experiment or a component, ready to be changed."""

from __future__ import annotations

import keyword
import re
from datetime import date
from pathlib import Path
from string import Template

import click

from ppr.cli import schema
from ppr.commands import command_line, note
from ppr.config import places
from ppr.config.places import RESERVED
from ppr.errors import BadRequest, choices
from ppr.registry import KINDS

_SKELETONS = Path(__file__).resolve().parent.parent / "skeletons"
_WHERE = {
    "py": "{home}/{folder}/{room}/{name}.py",
    "yaml": "{configs}/{kind}/{room}/{name}.yaml",
    "experiment": "{configs}/experiment/{room}/{experiment}.yaml",
    "paper": "{configs}/paper/{room}/{name}.yaml",
    "test": "{tests}/{room}/{test}.py",
}
"""The parts a skeleton may have, and the file that each becomes."""

FAMILIES = ("classification", "contrastive")
"""Families of losses that have a skeleton; the first where none is asked for."""


@click.command()
@click.argument("kind")
@click.argument("name")
@click.option("--family", help=f"Of a loss: {' or '.join(FAMILIES)} [{FAMILIES[0]}].")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A folder of your own [ppr's own tree, where this is a checkout of it].",
)
@click.option("--room", help="The sub-folder that its files go to: a family of papers.")
def command(kind: str, name: str, family: str | None, into: Path | None, room: str | None) -> None:
    """Write a skeleton that works: NAME of KIND, with its config and a test.

    KIND is paper, experiment, study, loss, task, model, dataset, or another kind of component. The
    files go into ppr's own tree, or into a folder that `ppr --plugin DIR` brings along. None that
    is there is touched.
    """
    stem = skeleton_of(kind, family)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise BadRequest(f"{kind} {name!r}: a name has small letters, digits and _, as my_{kind}")
    if name in RESERVED:
        raise BadRequest(f"{kind} {name!r}: {kind}={name} would not mean it; another name")
    if room is not None and not re.fullmatch(r"[a-z][a-z0-9_]*", room):
        raise BadRequest(f"--room {room!r}: small letters, digits and _, as metric_learning")
    files = skeleton(kind, stem, name, into, room)
    there = [str(path) for path in files if path.exists()]
    if there:
        raise BadRequest(f"{kind} {name!r}: {', '.join(there)} is there already")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(path)
    if schema.FOLDER in "".join(files.values()) and not schema.folder(into).exists():
        schema.write(into)
    if kind == "paper":
        note([("--config-dir", f"{into}/configs")] if into else [])
        click.echo(f"then: {command_line('reproduce', name, '--dry-run')}")
    else:
        note([("--plugin", str(into))] if into else [])
        click.echo(f"then: {command_line('run', *_use(stem, name).split())}")


def skeleton_of(kind: str, family: str | None) -> str:
    """The beginning of the skeleton's file names.

    Raises:
        BadRequest: no such kind, or family of it.
    """
    if kind == "loss":
        if family not in (None, *FAMILIES):
            raise BadRequest(f"--family {family}: {choices(family or '', FAMILIES)}")
        return f"loss_{family or FAMILIES[0]}"
    if family is not None:
        raise BadRequest(f"--family {family}: of losses only")
    known = sorted({path.name.split(".")[0].split("_")[0] for path in _SKELETONS.glob("*.txt")})
    known.remove("component")
    known.remove("own")
    if kind not in known:
        raise BadRequest(f"unknown kind {kind!r}: {choices(kind, known)}")
    return kind


def skeleton(
    kind: str, stem: str, name: str, into: Path | None, room: str | None
) -> dict[Path, str]:
    """The files of a new component, experiment or paper, and what is in them.

    `room`: their sub-folder in the folders of configs, components and tests, none if None.

    Raises:
        BadRequest: this is no checkout of ppr, and no folder is named.
    """
    root = places.own_tree(into)
    folder = "studies" if kind == "study" else KINDS.get(kind, ("",))[0]
    places_of = {
        "home": root if into else root / "ppr",
        "configs": root / "configs",
        "tests": root / "tests",
        "folder": "models/heads" if kind == "head" else folder,
        "kind": kind,
        "name": name,
        "room": room or "",
        "experiment": f"{name}_digits" if kind == "paper" else name,
        "test": f"losses/{name}" if kind == "loss" and not into else f"test_{name}",
    }
    words = {
        "name": name,
        "Title": name.replace("_", " ").capitalize(),
        "Class": "".join(part.capitalize() for part in name.split("_")),
        "kind": kind,
        "family": room or "contrastive",
        "year": str(date.today().year),
        "schema": "/".join([".."] * (3 if room else 2)) + f"/{schema.FOLDER}",
        "words": ", ".join(f'"{word}"' for word in _use(stem, name).split()),
    }
    files = {}
    for part, where in _WHERE.items():
        source = _SKELETONS / f"{stem}.{part}.txt"
        if not source.exists() and kind in KINDS and part in ("yaml", "test"):
            source = _SKELETONS / f"component.{part}.txt"
        if into and part == "test" and kind == "loss":
            source = _SKELETONS / "component.test.txt"  # the other is made for ppr's own tests
        if source.exists():
            text = Template(source.read_text(encoding="utf-8")).substitute(words)
            files[Path(where.format(**places_of))] = text
    conftest = root / "tests" / "conftest.py"
    if into and kind not in ("paper", "experiment") and not conftest.exists():
        files[conftest] = (_SKELETONS / "own.conftest.txt").read_text(encoding="utf-8")
    return files


def _use(stem: str, name: str) -> str:
    path = _SKELETONS / f"{stem}.use.txt"
    return Template(path.read_text()).substitute(name=name).strip() if path.exists() else ""
