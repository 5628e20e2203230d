"""A planned sweep finds its record, or begins one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from ppr.config.places import Extensions
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.plan import Plan
from ppr.results.sweeps import FOLDER, RECORD, Point, Sweep, load

_log = logging.getLogger(__name__)


def open_sweep(plan: Plan, words: Sequence[str]) -> tuple[Sweep, list[int]]:
    """The record of a planned sweep, old or new, and the place of each of the plan's configs."""
    keys = [(config.experiment, config.run_id) for config in plan.configs]
    content = [sorted(keys), plan.search["identity"]] if plan.search else sorted(keys)
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:10]
    folder = plan.root.resolve() / FOLDER / (plan.search.get("study") or digest)
    known = _known(folder)
    if known is not None and known.adaptive != bool(plan.search and not plan.configs):
        raise BadRequest(f"sweeper.study={folder.name}: that is another sweep; name another one")
    if known is not None and known.adaptive:  # its id says what is searched, not for how long
        known.search, known.words = dict(plan.search), list(words)
        return known, []
    if known is not None:
        index_of = {(p.experiment, p.run_id): index for index, p in enumerate(known.points)}
        return known, [index_of[key] for key in keys]
    points = [Point.of(config) for config in plan.configs]
    own = Extensions.present()
    brought = list(own.plugins), list(own.config_dirs)
    sweep = Sweep(list(words), points, *brought, search=dict(plan.search), folder=folder)
    if sweep.adaptive:
        sweep.read_trials()
    return sweep, list(range(len(points)))


def _known(folder: Path) -> Sweep | None:
    """The record of a sweep, if there is one that can be used.

    All of another follows from the plan and from the tree, but for where runs were sent.
    """
    if not (folder / RECORD).exists():
        return None
    try:
        return load(folder)
    except RunFailed as error:
        _log.warning("%s; the record of the sweep is begun anew", error)
        return None
