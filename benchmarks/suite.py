"""What the suite takes with many papers: pytest on a copy of this tree with generated ones in it.

    python benchmarks/suite.py [--papers 323] [--experiments 4] [arguments of pytest]

Each generated paper has one table, of variations of one shipped experiment, and every third a loss
file of its own with its reference test, copied under a new name. Their texts are those of a shipped
paper. The copy is a folder that is removed at the end; tests that count what ships may fail there.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import yaml

from ppr import registry
from ppr.config import usage
from ppr.config.places import config_files

ROOT = Path(__file__).parents[1]
TEXTS = "supcon"


def copy_tree(to: Path) -> None:
    """The files that git knows, as they stand here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def paired_losses() -> dict[str, tuple[Path, Path]]:
    """Loss -> source and reference test, of losses with both and no field to set."""
    found = {}
    for source in sorted((ROOT / "ppr" / "losses").glob("*/[a-z]*.py")):
        family = source.parent.name
        test = ROOT / "tests" / family / "losses" / source.name
        needs = any(f.required for f in registry.describe("loss", source.stem).fields.values())
        if test.is_file() and not needs:
            found[source.stem] = (source.relative_to(ROOT), test.relative_to(ROOT))
    return found


def add_loss(tree: Path, loss: str, name: str) -> None:
    for file in paired_losses()[loss]:
        text = (ROOT / file).read_text()
        (tree / file).with_name(f"{name}.py").write_text(text.replace(f"`{loss}`", f"`{name}`"))


def add_paper(tree: Path, name: str, base: str, experiments: int, loss: str | None) -> None:
    """A paper with one table, whose cells are `experiments` variations of the experiment `base`."""
    names = [f"{name}_{i}" for i in range(experiments)]
    for seed, experiment in enumerate(names):
        defaults: list[object] = [base]
        if loss is not None and seed == 0:
            defaults.append({"override /loss": loss})
        body = yaml.safe_dump({"defaults": [*defaults, "_self_"], "seed": seed})
        where = tree / "configs" / "experiment" / "contrastive" / f"{experiment}.yaml"
        where.write_text(f"# @package _global_\n# Generated: a variation of {base}.\n{body}")
    shipped = yaml.safe_load(config_files("paper")[TEXTS].read_text())
    kept = {key: text for key, text in shipped.items() if key not in {"tables", "claims"}}
    table = {
        "title": "Generated", "scale": "desk", "settings": "none", "metric": "classifier/top1",
        "rows": {f"Row {i}": experiment for i, experiment in enumerate(names)},
        "columns": {"Value": ""}, "cell": "experiment=${row}", "seeds": 3,
    }  # fmt: skip
    paper = kept | {"title": name, "tables": {"generated": table}}
    folder = tree / "configs" / "paper" / "contrastive"
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(paper, sort_keys=False))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--papers", type=int, default=323, help="with those that ship")
    parser.add_argument("--experiments", type=int, default=4, help="of each generated paper")
    given, words = parser.parse_known_args()
    chosen = usage.choices_by_experiment()
    own_losses = paired_losses()
    bases = cycle(name for name in chosen if chosen[name].get("loss", [""])[0] in own_losses)
    shipped = sum("\ntables:" in file.read_text() for file in config_files("paper").values())
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        for i in range(given.papers - shipped):
            base, name = next(bases), f"generated_{i}"
            if i % 3 == 0:
                add_loss(tree, chosen[base]["loss"][0], f"{name}_loss")
            add_paper(tree, name, base, given.experiments, f"{name}_loss" if i % 3 == 0 else None)
        environment = os.environ | {"PYTHONPATH": str(tree)}
        index = [sys.executable, "scripts/index_cells.py"]
        subprocess.run(index, cwd=tree, env=environment, check=True)
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "pytest", *words]
        done = subprocess.run(command, cwd=tree, env=environment, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{given.papers} papers: {time.perf_counter() - start:.0f} s, {cpu:.0f} core-seconds")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
