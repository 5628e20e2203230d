"""What a search chooses by: a metric of the validation split, never one of the test split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppr import registry
from ppr.config.composed import Config
from ppr.errors import BadRequest
from ppr.results.files import read_lines
from ppr.results.metrics import is_number
from ppr.results.tree import METRICS

PREFIX = "validation/"


def objective_of(config: Config) -> str:
    """The validation metric that a search over `config` chooses by.

    Raises:
        BadRequest: the run measures none, or another; or a test metric is asked for.
    """
    name, asked = config["sweeper"]["name"], config["sweeper"]["objective"]
    monitor, every = config["engine"]["monitor"], config["engine"]["evaluate_every"]
    evaluators = config["evaluator"] or {}
    if not every or not monitor:
        lacking = "engine.evaluate_every=1" if not every else ""
        if not monitor:
            example = next(iter(evaluators), "knn")
            lacking = f"{lacking} engine.monitor={example}/…".strip()
        raise BadRequest(
            f"sweeper={name}: it chooses by a validation metric, and {config.experiment} watches "
            f"none; set {lacking}"
        )
    if _without_validation(config):
        raise BadRequest(
            f"sweeper={name}: {config['dataset']['name']} holds no validation split out; set "
            "dataset.validation=…"
        )
    if asked is None:
        return PREFIX + str(monitor)
    watched = str(monitor).split("/", 1)[0]
    if not asked.startswith(PREFIX):
        raise BadRequest(
            f"sweeper.objective={asked}: that is of the test split, which a search must not see; "
            f"choose a validation metric, as {PREFIX}{monitor}"
        )
    if asked.removeprefix(PREFIX).split("/", 1)[0] != watched or asked.count("/") < 2:
        raise BadRequest(
            f"sweeper.objective={asked}: only {watched} is measured on validation "
            f"(engine.monitor={monitor}); choose {PREFIX}{watched}/…"
        )
    return str(asked)


def _without_validation(config: Config) -> bool:
    node = config["dataset"]
    if not node or "validation" not in registry.describe("dataset", node["name"]).fields:
        return False  # it brings a split of its own, or the run will say that it has none
    return not node["validation"]


def best_value(folder: Path, search: Mapping[str, Any]) -> float | None:
    """The best that a run has logged of the objective; None if it has not measured it yet."""
    if not (folder / METRICS).exists():
        return None
    lines = read_lines(folder / METRICS)
    values = [line[search["objective"]] for line in lines if search["objective"] in line]
    numbers = [value for value in values if is_number(value)]  # null is what was not finite
    if not numbers:
        return None
    return float(max(numbers) if search["direction"] == "maximise" else min(numbers))
