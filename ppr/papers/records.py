"""Whether a record is what a run wrote: its digest, and the hash of its config."""

from __future__ import annotations

from collections.abc import Iterator

from ppr.config.identity import run_id, variant_id
from ppr.config.schema import check_config
from ppr.errors import BadRequest, RunFailed
from ppr.results.tree import Record, record_digest


def label(record: Record) -> str:
    return f"{record.experiment}/{record.variant}/seed={record.seed}"


def faults(record: Record) -> Iterator[str]:
    """What is wrong with a finished run's record, a line each.

    The digest covers summary, config and environment, so an edit by hand shows. The variant must be
    the hash of the config: where a component's default has been changed since, it no longer is.
    """
    try:
        config, environment = record.config(), record.environment()
    except RunFailed as error:
        yield str(error)
        return
    stated = record.summary.get("digest")
    if stated != record_digest(record.summary, config, environment):
        what = "has no digest" if stated is None else "its digest does not fit: it has been edited"
        yield f"{what} ({record.source})"
    try:
        values = check_config(config)
        ids = variant_id(values), run_id(values), values["seed"], values["experiment"]
    except BadRequest as error:
        yield f"its config is refused by this version of ppr: {error}"
        return
    said = record.variant, record.summary.get("run_id"), record.seed, record.experiment
    for name, is_now, was in zip(
        ("variant", "run_id", "seed", "experiment"), ids, said, strict=True
    ):
        if is_now != was:
            why = "edited, or a default of its components has changed since"
            yield f"its config is of {name} {is_now}, not {was}: {why} ({record.source})"
            return
