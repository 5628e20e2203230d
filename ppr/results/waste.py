"""What a results tree keeps that no number needs: to be listed with its size, and removed.

    checkpoints   of finished runs, which a kill has left
    failed        runs that failed or were pruned, with all that they left
    replaced      earlier runs that `--force` has set aside
    interrupted   runs that the same command would go on with     } only if asked for by name
    weights       of finished runs: inputs, evaluations, exports  } only if asked for by name

Summaries, configs and logs of finished runs are never among them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ppr.results.files import asides
from ppr.results.lock import HOLDER, LOCK, RunBusy, claim
from ppr.results.tree import CHECKPOINTS, scan

USUAL = ("checkpoints", "failed", "replaced")
KINDS = (*USUAL, "interrupted", "weights")
WEIGHTS = ("model.pt", "best.pt")
_REPLACED = re.compile(r"\.seed=-?\d+-replaced-\w+")


@dataclass(frozen=True)
class Waste:
    """Files or folders of one run that can go. `run` is the directory to be held meanwhile."""

    kind: str
    run: Path
    paths: Sequence[Path]

    @property
    def bytes(self) -> int:
        return sum(_size(path) for path in self.paths)


def waste(root: Path, kinds: Sequence[str] = USUAL) -> list[Waste]:
    """What of these kinds lies under `root`; nothing of a run that is running."""
    found = [item for item in _of_runs(root) if item.kind in kinds and item.paths]
    if "replaced" in kinds:
        for folder in sorted(root.glob("*/*/.seed=*")):
            if _REPLACED.fullmatch(folder.name):
                run = folder.with_name(folder.name[1:].partition("-replaced-")[0])
                found.append(Waste("replaced", run, [folder]))
    return found


def _of_runs(root: Path) -> Iterator[Waste]:
    for record in scan(root, published=False).records:
        if record.path is None:
            continue
        folder = record.path
        if record.state == "finished":
            left = [p for p in (folder / CHECKPOINTS, *asides(folder)) if p.exists()]
            yield Waste("checkpoints", folder, left)
            weights = [folder / name for name in WEIGHTS if (folder / name).exists()]
            yield Waste("weights", folder, weights)
        elif record.state in ("failed", "pruned"):
            yield Waste("failed", folder, [folder])
        elif record.state == "interrupted":
            yield Waste("interrupted", folder, [folder])


def remove(items: Sequence[Waste]) -> tuple[list[Waste], list[str]]:
    """Remove them; returns those that went, and why others stayed."""
    gone, stayed = [], []
    for item in items:
        try:
            _remove(item)
            gone.append(item)
        except RunBusy as error:
            stayed.append(str(error))
        except OSError as error:
            stayed.append(f"{error.filename or item.run}: {error.strerror or error}")
    return gone, stayed


def _remove(item: Waste) -> None:
    there = item.run.exists()
    with claim(item.run):
        for path in item.paths:
            if path == item.run:  # its lock stays until the end, so that nobody begins in between
                for inside in path.iterdir():
                    if inside.name not in (LOCK, HOLDER):
                        _delete(inside)
            else:
                _delete(path)
    if item.run in item.paths or not there:
        shutil.rmtree(item.run, ignore_errors=True)
        for folder in (item.run.parent, item.run.parent.parent):
            with suppress(OSError):  # what other runs lie in stays
                folder.rmdir()


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
    return path.lstat().st_size
