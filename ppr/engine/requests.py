"""What of a run's request cannot be had, known from its config and its data set's card alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppr import registry
from ppr.errors import BadRequest


def refuse_request(values: Mapping[str, Any]) -> None:
    """Refuse a run before any data are read: once for a sweep, at once for a run.

    Raises:
        BadRequest: `engine.accumulate` does not divide a device's share of the batch; the batch is
            larger than the training split; or what is to be evaluated on validation has no split.
    """
    engine, node = values["engine"], values.get("dataset")
    if not node or not values.get("loss"):
        return  # a study: it takes no steps on batches
    refuse_parts(engine["batch_size"], engine["devices"], engine["accumulate"])
    if values["data"]["synthetic"]:
        return
    from ppr.config.places import data_root

    source = registry.make("dataset", node, data_root(values["data"]["root"]))
    rows = getattr(getattr(source, "card", None), "rows", {})
    held = getattr(source, "validation", None)
    if not isinstance(held, int) or "of" in node:
        return  # what is made of another set knows its sizes only when it has it
    if hasattr(source, "left"):  # others part what they hold in ways of their own
        left = source.left()
        if engine["batch_size"] > left:
            raise BadRequest(
                f"engine.batch_size={engine['batch_size']}: larger than the training split "
                f"({left}); use at most {left}"
            )
    if engine["evaluate_every"] and not held and "validation" not in rows:
        raise BadRequest(no_validation(engine["evaluate_every"], node["name"]))


def no_validation(every: int, name: str) -> str:
    return (
        f"engine.evaluate_every={every}: the data set {name!r} has no validation split; hold one "
        "out with dataset.validation=…, or use engine.evaluate_every=0"
    )


def refuse_parts(batch_size: int, devices: int, accumulate: int) -> None:
    """Refuse to cut a batch in other than equal parts.

    Raises:
        BadRequest: `accumulate` parts of each device's share cannot be equal.
    """
    share = batch_size // devices
    if share % accumulate:
        fit = [parts for parts in range(1, share + 1) if share % parts == 0]
        near = sorted(fit, key=lambda parts: abs(parts - accumulate))[:2]
        of = f"the {share} samples of each device" if devices > 1 else f"a batch of {share}"
        raise BadRequest(
            f"engine.accumulate={accumulate}: {of} cannot be cut in as many equal parts; "
            f"use {' or '.join(map(str, sorted(near)))}"
        )
