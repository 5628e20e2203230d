"""A finished run that is taken up once more: to be measured, loaded or exported."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ppr.commands import command_line
from ppr.errors import BadRequest
from ppr.results.files import read_object
from ppr.results.select import named
from ppr.results.tree import REQUEST, Record, Scan, read_config


def one_run(scan: Scan, word: str) -> Record:
    """The finished run with weights that a word stands for.

    A run directory, `experiment/variant/seed=n`, `experiment/seed=n` where that has one variant
    with such a seed, or an experiment or variant of one run.

    Raises:
        BadRequest: there is none, or several; names them.
    """
    path = Path(word)
    own = [record for record in scan.records if record.path is not None]
    found = [record for record in own if record.path and record.path.resolve() == path.resolve()]
    if not found:
        head, _, seed = word.partition("/seed=")
        experiment, _, variant = head.partition("/")
        try:
            found = named(scan.records, experiment)
        except BadRequest as error:
            raise BadRequest(f"{word}: {error}") from None
        found = [record for record in found if record.variant.startswith(variant)]
        found = [record for record in found if not seed or str(record.seed) == seed]
    ready = [record for record in found if record.state == "finished" and record.path is not None]
    ready = _trained(ready) or ready
    if len(ready) == 1:
        return ready[0]
    if ready:
        several = ", ".join(f"{r.experiment}/{r.variant}/seed={r.seed}" for r in ready)
        raise BadRequest(f"{word}: {len(ready)} runs; name one of {several}")
    published = next((record for record in found if record.path is None), None)
    if published is not None:
        again = command_line("run", f"experiment={published.experiment}", f"seed={published.seed}")
        raise BadRequest(f"{word}: published records have no weights; to have them: {again}")
    raise BadRequest(f"{word}: no finished run")


def _trained(runs: Sequence[Record]) -> list[Record]:
    """Those that trained: an evaluation lies beside its run, and is none to be evaluated."""
    return [run for run in runs if (run.config().get("task") or {}).get("name") != "evaluate"]


def evaluation_words(scan: Scan, word: str) -> list[str]:
    """The words of the run that measures the one that `word` stands for.

    Raises:
        BadRequest: as `one_run`.
        RunFailed: its request or config cannot be read.
    """
    record = one_run(scan, word)
    assert record.path is not None
    asked = read_object(record.path / REQUEST).get("overrides") or []
    seedless = [str(each) for each in asked if not str(each).startswith("seed=")]
    if not any(each.startswith("experiment=") for each in seedless):
        seedless.insert(0, f"experiment={record.experiment}")
    model = shlex.join(seedless).replace('"', '\\"')
    others = [f"inputs.{name}=null" for name in read_config(record.path).get("inputs") or {}]
    own = [
        each for each in seedless if each.partition("=")[0] in ("experiment", "dataset", "scale")
    ]
    own += [each for each in seedless if each.startswith(("dataset.", "data."))]
    return [*own, *others, "task=evaluate", f'inputs.model="{model}"', f"seed={record.seed}"]
