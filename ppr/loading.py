"""`ppr.load`: a finished run's network, in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ppr.engine.training import TrainingTask


@dataclass(frozen=True)
class Loaded:
    """A finished run: `encoder` maps prepared inputs [N, *shape] to features [N, F], `head` (None
    where the task has none) features to its outputs, `classifier` features to logits [N, C].

    `prepare` makes the network's input of raw ones, as images uint8 [N, C, H, W]: normalised as in
    training, nothing drawn. `classes` are the names behind the logits.
    """

    encoder: nn.Module
    head: nn.Module | None
    classifier: nn.Module | None
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    task: TrainingTask
    summary: Mapping[str, Any]
    folder: Path

    def prepare(self, inputs: Tensor) -> Tensor:
        """Raw inputs [N, *shape] as the encoder takes them, float32."""
        ready: Tensor = self.task.augment.plain(inputs)
        return ready


def load(
    run: str | Path,
    *,
    results: str | Path | None = None,
    epoch: Literal["last", "best"] = "last",
    device: str | torch.device = "cpu",
) -> Loaded:
    """The network of a finished run, in eval mode, with its config and its numbers.

    `run` is a run directory, "supcon_digits/seed=0", or whatever names one run; `results` the tree,
    PPR_RESULTS or ./results by default. The run's data are read, for the network is built for them.

    Raises:
        BadRequest: no such run, several, or one that trained no network.
        RunFailed: its weights or config cannot be used.
    """
    import torch

    from ppr.config.identity import complete
    from ppr.config.places import results_root
    from ppr.engine.trained import trained
    from ppr.results.again import one_run
    from ppr.results.metrics import metrics
    from ppr.results.tree import read_config, scan

    root = results_root(results)
    record = one_run(scan(root), str(run))
    assert record.path is not None
    values = complete(read_config(record.path))
    values["results"] = {"root": str(root)}
    task = trained(values, record.path, torch.device(device), epoch)
    data = task.bench.dataset
    return Loaded(
        encoder=task.encoder,
        head=getattr(task, "head", None),
        classifier=task.classifier,
        config=values,
        metrics=metrics(record.summary),
        shape=data.shape,
        classes=data.classes,
        mean=data.mean,
        std=data.std,
        task=task,
        summary=record.summary,
        folder=record.path,
    )
