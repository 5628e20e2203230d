"""What the suite takes with all papers in: pytest on a copy of this tree in which each has tables.

    python benchmarks/suite.py [--papers 323] [--into DIR] [arguments of pytest]

A paper of the catalogue without tables gets those of one that has them, each in turn: its tables,
claims, index and records; every experiment behind its cells, under a new name; the loss or study
that is its own, with YAML and reference test, under a new name and named by those experiments; and
its share of the family's test files. A test that counts what ships, or looks for a name where a
copy has another, may fail there: the time is what is asked.

Of 323 papers (1,330 experiments, 16,000 tests), in core-seconds, each part run alone on a busy
machine, with `-n 0` and the names of its files:

    composing each experiment       101    tests/config/test_experiments.py -k composes
    a step of those that cover all  132    the same, -k step
    losses, 6,750 tests              81    tests/components/test_losses.py
    papers' files, tables, records   38    tests/papers/test_papers.py test_code.py, shipped records
    the families' own tests         479    86 for the first 58 papers, so many times more
    ppr's own rooms, as today       277    466 of the whole suite of 55 papers, less the above of it
    collecting, in two workers       30

That is 1,140 core-seconds, nine and a half minutes on two idle cores. Nothing grows faster than the
papers do. The whole was not run in one go.

The copy is a folder that is removed at the end; with `--into` it is made there and stays, and is
used again as it is if it is there already.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

from ppr import registry
from ppr.config.places import config_files
from ppr.config.usage import component_of
from ppr.papers.cache import INDEX

ROOT = Path(__file__).parents[1]
REFERENCE = ("title", "year", "family")
COPIED = {"loss": "losses", "task": "studies"}
"""Kinds of which a paper has one of its own, and their rooms: of tasks, the studies."""


class Original:
    """A paper with tables, and what is copied with it: what its index of cells names."""

    def __init__(self, slug: str, path: Path) -> None:
        self.path = path
        self.records = ROOT / "results" / f"{slug}.jsonl"
        self.index: dict[str, Any] = json.loads(index_file(path).read_text())
        options = {tuple(option.split("/")) for key in self.index for option in json.loads(key)}
        named = {name for kind, *rest in options if kind == "experiment" for name in rest}
        self.experiments = {name: config_files("experiment")[name] for name in named}
        parts = {(kind, component_of(kind, *rest)) for kind, *rest in options if kind in COPIED}
        self.components = {
            (kind, name)
            for kind, name in parts
            if registry.find(kind, name).is_relative_to(ROOT / "ppr" / COPIED[kind])
        }


def index_file(paper: Path) -> Path:
    return paper.parent / INDEX / f"{paper.stem}.json"


def reference_test(kind: str, source: Path) -> Path | None:
    """The test of a loss; a study has a file of its own among the family's."""
    return ROOT / "tests" / source.parent.name / "losses" / source.name if kind == "loss" else None


def own_components(originals: list[Original]) -> None:
    """Leaves each the components that no other paper has, losses with their reference test."""
    papers = Counter(part for each in originals for part in each.components)
    for each in originals:
        each.components = {
            (kind, name)
            for kind, name in each.components
            if papers[kind, name] == 1
            and (
                (test := reference_test(kind, registry.find(kind, name))) is None or test.is_file()
            )
            and name in config_files(kind)
        }


def rename(text: str, original: Original, end: str) -> str:
    """Experiments and own components that a text of YAML names, under their new names."""
    names = "|".join(map(re.escape, original.experiments))
    # A row's whole name in place of ${row} is renamed in the row; one made of parts, at its end.
    made = r"(?:[^\s'\"]+\$\{|\$\{\w+\}[^\s'\"])[^\s'\"]*"
    rules = {
        rf"(?m)\b(experiment=(?:(?:{names})\b|{made}))": rf"\1{end}",
        rf"(?m)^((?!.*override /).*(?:- |: ))({names})(?=[\s,}}]|$)": rf"\1\2{end}",
    }
    for kind, name in original.components:
        rules[rf"(\b{kind}=|/{kind}: ){name}\b"] = rf"\1{name}{end}"
    for pattern, new in rules.items():
        text = re.sub(pattern, new, text)
    return text


def renamed_index(original: Original, end: str) -> dict[str, Any]:
    """Its index with the new names; `DIGESTS` renews the digests, the variants stay as they are."""
    new = {f"{kind}/{name}": f"{kind}/{name}{end}" for kind, name in original.components}
    new |= {f"experiment/{name}": f"experiment/{name}{end}" for name in original.experiments}
    said = {key.replace("/", "="): value.replace("/", "=") for key, value in new.items()}

    def listed(text: str, names: dict[str, str]) -> str:
        return json.dumps([names.get(word, word) for word in json.loads(text)])

    return {
        listed(options, new): {
            part: {listed(words, said): what for words, what in known.items()}
            if isinstance(known, dict)
            else known
            for part, known in entry.items()
        }
        for options, entry in original.index.items()
    }


DIGESTS = """
import json
from ppr.papers.cache import INDEX, content_digest
from ppr.papers.files import folders
for file in [f for folder in folders() for f in folder.rglob(f"{INDEX}/*.json")]:
    index = json.loads(file.read_text())
    for options, entry in index.items():
        entry["digest"] = content_digest(json.loads(options))
    file.write_text(json.dumps(index))
"""


def write(tree: Path, file: Path, end: str, text: str) -> None:
    """Beside the copy of a file of this tree, under its name with an ending."""
    place = tree / file.relative_to(ROOT)
    place.with_name(f"{place.stem}{end}{place.suffix}").write_text(text)


def give_tables(tree: Path, bare: Path, original: Original, end: str) -> None:
    """The paper in a file without tables gets those of another, and all that is behind them."""
    for file in original.experiments.values():
        write(tree, file, end, rename(file.read_text(), original, end))
    for kind, name in original.components:
        source, option = registry.find(kind, name), config_files(kind).get(name)
        write(tree, source, end, source.read_text())
        if option:
            text = option.read_text().replace(f"name: {name}", f"name: {name}{end}")
            write(tree, option, end, text)
        if test := reference_test(kind, source):
            write(tree, test, end, test.read_text().replace(f"`{name}`", f"`{name}{end}`"))
    own: dict[str, Any] = yaml.safe_load(bare.read_text())
    body: dict[str, Any] = yaml.safe_load(rename(original.path.read_text(), original, end))
    head = {key: own[key] for key in REFERENCE}
    text = yaml.safe_dump(head | {k: v for k, v in body.items() if k not in head}, sort_keys=False,
                          width=95, allow_unicode=True)  # fmt: skip
    (tree / bare.relative_to(ROOT)).write_text(text)
    index = tree / index_file(bare).relative_to(ROOT)
    index.parent.mkdir(exist_ok=True)
    index.write_text(json.dumps(renamed_index(original, end)))
    if original.records.is_file():
        shutil.copy(original.records, tree / "results" / f"{bare.stem}.jsonl")


def grow(tree: Path, papers: int) -> None:
    """A copy of this tree, with tables in as many papers."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    full = {slug: p for slug, p in config_files("paper").items() if "\ntables:" in p.read_text()}
    bare = [path for slug, path in config_files("paper").items() if slug not in full]
    # Not one whose columns hold the end of an experiment's name and more words after it.
    originals = [
        Original(slug, path)
        for slug, path in full.items()
        if slug != "scl_relu_symmetry" and index_file(path).is_file()
    ]
    own_components(originals)
    turn = cycle(originals)
    for number, path in enumerate(bare[: papers - len(full)]):
        give_tables(tree, path, next(turn), f"_g{number}")
    families = {path.parent.name for path in full.values()}
    tests = [t for t in sorted((ROOT / "tests").rglob("test_*.py")) if t.parent.name in families]
    wanted = round(len(tests) * (papers - len(full)) / len(full))
    for number, test in zip(range(wanted), cycle(tests), strict=False):
        write(tree, test, f"_g{number}", test.read_text())
    environment = os.environ | {"PYTHONPATH": str(tree)}
    subprocess.run([sys.executable, "-c", DIGESTS], cwd=tree, env=environment, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--papers", type=int, default=323, help="with tables, the shipped included")
    parser.add_argument("--into", type=Path, help="a folder to keep the tree in")
    given, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = (given.into or Path(folder) / "tree").resolve()
        if not tree.exists():
            grow(tree, given.papers)
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "pytest", *words]
        environment = os.environ | {"PYTHONPATH": str(tree)}
        done = subprocess.run(command, cwd=tree, env=environment, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{given.papers} papers: {time.perf_counter() - start:.0f} s, {cpu:.0f} core-seconds")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
