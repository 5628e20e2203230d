"""A finished run's network: built as its config says, with the weights that it ended with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from ppr.config.compose import recorded
from ppr.config.settings import EngineSettings
from ppr.data.dataset import Dataset
from ppr.engine.bench import Bench
from ppr.engine.checkpoints import WEIGHTS, load_weights
from ppr.engine.device import settle_precision
from ppr.engine.train import BEST_WEIGHTS
from ppr.engine.training import TrainingTask
from ppr.errors import BadRequest, RunFailed

Epoch = Literal["last", "best"]


def trained(
    values: Mapping[str, Any],
    folder: Path,
    device: torch.device,
    epoch: Epoch = "last",
    dataset: Dataset | None = None,
) -> TrainingTask:
    """The task of the finished run in `folder`, whose config is `values`, in eval mode.

    `dataset` spares reading the run's own data again where the caller has them.

    Raises:
        BadRequest: its task trains no network, or it kept no best epoch.
        RunFailed: the weights are not there, or are another network's.
    """
    file = folder / (BEST_WEIGHTS if epoch == "best" else WEIGHTS)
    if not file.exists():
        if epoch == "best":
            raise BadRequest(f"{folder}: kept no best epoch; engine.monitor chooses one")
        raise BadRequest(f"{folder}: has no weights ({WEIGHTS}); `ppr clean` or its task left none")
    settings = EngineSettings(**values["engine"])
    precision = settle_precision(settings.precision, device)
    bench = Bench(values, device, precision, folder, settings, inputs=recorded(values).inputs)
    if dataset is not None:
        bench.dataset = dataset
    task = bench.build("task", bench)
    if not isinstance(task, TrainingTask):
        raise BadRequest(f"{folder}: the task {values['task']['name']!r} trains no network")
    try:
        task.load_state_dict(load_weights(file))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise RunFailed(f"{file}: not the weights of its config today: {reason}") from None
    return task.to(device).eval()
