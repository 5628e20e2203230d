"""What a learner of a stream of tasks is measured by: its accuracy on each, after each.

a_tj is the accuracy on the test samples of task j after task t, 0 for the tasks to come.

    final = mean_j a_Tj    learning = mean_t a_tt    forgetting = mean_{j<T} (max_t a_tj - a_Tj)

Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", 2017, section 2, and
Chaudhry et al., "Riemannian Walk for Incremental Learning", 2018, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ppr.data.dataset import Dataset, Split
from ppr.engine.subject import evaluating
from ppr.errors import BadRequest
from ppr.tasks.classify import Classify


def tasks_of(data: Dataset) -> Tensor:
    """The number of each training sample's task. [N]

    Raises:
        BadRequest: the data set is no stream of tasks.
    """
    if not isinstance(data.train, Split) or "task" not in data.train.extra:
        raise BadRequest(f"dataset={data.name}: no stream of tasks; one is dataset=task_stream")
    return data.train.extra["task"]


@torch.no_grad()
def accuracies(network: Classify, data: Dataset, learnt: int) -> tuple[Tensor, Tensor]:
    """Accuracy on each task up to `learnt` [learnt + 1], and the last one's features [N, F]."""
    assert network.classifier is not None
    test = data.test
    assert isinstance(test, Split)
    device = next(network.parameters()).device
    found = []
    with evaluating(network):
        for task in range(learnt + 1):
            rows = test.extra["task"] == task if "task" in test.extra else slice(None)
            features = network.encoder(network.augment.plain(test.inputs[rows].to(device)))
            right = network.classifier(features).argmax(1) == test.targets[rows].to(device)
            found.append(right.float().mean())
    return torch.stack(found), features


def scores(matrix: Tensor) -> dict[str, float]:
    """The three numbers above, of a_tj [T, T]."""
    matrix = matrix.double().cpu()
    lost = matrix.amax(0) - matrix[-1]
    return {
        "final": matrix[-1].mean().item(),
        "learning": matrix.diag().mean().item(),
        "forgetting": lost[:-1].mean().item() if len(matrix) > 1 else 0.0,
    }
