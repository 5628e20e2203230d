"""Whether a record is what a run wrote, and of today's code: digest, hash of the config, code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from ppr.config import code
from ppr.config.compose import recorded
from ppr.config.schema import check_config
from ppr.errors import BadRequest, RunFailed
from ppr.results.metrics import quantity
from ppr.results.tree import Record, record_digest


def label(record: Record) -> str:
    return f"{record.experiment}/{record.variant}/seed={record.seed}"


def edited(record: Record) -> str:
    """Why a finished run's record is not what was written; empty if it is.

    The digest covers summary, config and environment, so an edit by hand shows. It is no signature:
    who edits a number and computes the digest anew is found by doing the run again alone.
    """
    try:
        config, environment = record.config(), record.environment()
    except RunFailed as error:
        return str(error)
    stated = record.summary.get("digest")
    if stated == record_digest(record.summary, config, environment):
        return ""
    what = "has no digest" if stated is None else "its digest does not fit: it has been edited"
    return f"{what} ({record.source})"


def faults(record: Record) -> Iterator[str]:
    """What is wrong with a finished run's record, a line each.

    Beside an edit: the variant must be the hash of the config, which it no longer is where a
    component's default has been changed since; and it must say of what code its components were.
    """
    if edit := edited(record):
        yield edit
    try:
        config = record.config()
    except RunFailed:
        return
    seed = config.get("seed")
    rest = json.dumps({k: v for k, v in config.items() if k != "seed"}, sort_keys=True, default=str)
    try:
        experiment, variant, run_of, named = _identity(rest)
    except BadRequest as error:
        yield f"its config is refused by this version of ppr: {error}"
        return
    unsaid = sorted({*named} - code.recorded(record.summary).keys())
    now = variant, run_of(record.seed), seed, experiment
    said = record.variant, record.summary.get("run_id"), record.seed, record.experiment
    for name, is_now, was in zip(
        ("variant", "run_id", "seed", "experiment"), now, said, strict=True
    ):
        if is_now != was:
            why = "edited, or a default of its components has changed since"
            yield f"its config is of {name} {is_now}, not {was}: {why} ({record.source})"
            return
    if unsaid:
        yield f"does not say of what code {', '.join(unsaid)} was ({record.source})"


@lru_cache(maxsize=4096)
def _identity(config: str) -> tuple[str, str, Callable[[int], str], Sequence[str]]:
    """Experiment, variant, seed -> run id, and components of a config less its seed."""
    values = check_config(json.loads(config))
    return values["experiment"], *recorded(values).ids(), code.named(values)


def outdated(record: Record, metric: str) -> list[str]:
    """The components behind a metric of a run that are of other code today.

    Evaluators do not touch one another: of those, the one that measured it counts, and the one that
    chose the epoch of a `best/` value.
    """
    found = code.outdated(code.recorded(record.summary))
    if not any(each.startswith("evaluator/") for each in found):
        return found
    asked = quantity(metric).partition("/")[0]
    measuring = {asked}
    if metric.startswith("best/"):
        chosen_by = (record.summary.get("best") or {}).get("chosen_by") or ""
        measuring |= set(chosen_by.removeprefix("validation/").split("/")[:1])
    nodes = record.config().get("evaluator") or {}
    used = code.named({"evaluator": {k: node for k, node in nodes.items() if k in measuring}})
    return [each for each in found if not each.startswith("evaluator/") or each in used]
