"""A finished run's network measured again, with other evaluators, on other data or another split.

    inputs: {model: "experiment=supcon_digits"}

Nothing is trained but what an evaluator trains for itself. The network is that of the run, built
for its own data and normalised with their mean and deviation; `dataset` and `evaluator` are those
of the config, and nothing else of it counts. Of data with other classes the classifier, whose
outputs are those of its own, is left away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ppr.config.composed import find_input
from ppr.engine.bench import Bench, Outcome
from ppr.engine.train import evaluate
from ppr.engine.trained import trained
from ppr.errors import BadRequest
from ppr.registry import component

MODEL = "model"
"""The input's name."""


@component("task", takes=("dataset", "evaluator"))
class Evaluate:
    """
    Raises:
        BadRequest: no evaluator is chosen, the data are of another shape, or the run trained no
            network.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        epoch: Literal["last", "best"] = "last",
        split: Literal["test", "validation"] = "test",
    ) -> None:
        self.bench, self.epoch, self.split = bench, epoch, split
        if not bench.values["evaluator"]:
            raise BadRequest("evaluator: none chosen; choose some with evaluator=[knn,linear]")

    def execute(self) -> Outcome:
        bench = self.bench
        config, folder = find_input(bench.inputs, MODEL), bench.input_path(MODEL)
        theirs = Bench(
            config.values,
            bench.device,
            bench.precision,
            folder,
            bench.settings,
            inputs=config.inputs,
        )
        if config["dataset"] == bench.values["dataset"]:
            theirs.dataset = bench.dataset
        shown = bench.dataset
        if shown.shape != theirs.dataset.shape:
            raise BadRequest(
                f"dataset={shown.name}: samples of shape {shown.shape}; the network of {folder} "
                f"takes {theirs.dataset.shape}"
            )
        task = trained(config.values, folder, bench.device, self.epoch, theirs.dataset)
        if shown.classes != theirs.dataset.classes:
            task.classifier = None
        measured = replace(bench)
        measured.dataset = shown
        return Outcome(
            metrics=evaluate(task, measured, self.split),
            protocol={
                "reported": f"{self.epoch} epoch on the {self.split} split",
                "split": self.split,
                "trained on": theirs.dataset.name,
                "evaluators": {
                    name: evaluator.protocol()
                    for name, evaluator in bench.evaluators().items()
                    if hasattr(evaluator, "protocol")
                },
            },
            data=shown.counts(),
        )

    def check(self) -> None:
        """Build the evaluators: what they measure is another run's."""
        self.bench.evaluators()
