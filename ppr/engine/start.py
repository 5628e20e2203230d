"""Training that begins with another run's weights: fine-tuning, or going on with another loss.

    inputs: {start: "experiment=simclr_digits"}

The encoder must be the same network, and all of it is taken. Of the task's other parts (head,
classifier, a loss's own parameters) those are taken that the other run has under the same name and
in the same shape; the rest begin as they would. Optimizer, schedule and seeds are the run's own.
What the run calls untrained is then where it begins.
"""

from __future__ import annotations

from ppr.engine.bench import Bench
from ppr.engine.checkpoints import WEIGHTS, load_weights
from ppr.engine.learner import Learner
from ppr.errors import BadRequest

START = "start"
"""The input's name."""


def begin_from(task: Learner, bench: Bench) -> None:
    """Load the weights of `inputs.start` into the task.

    Raises:
        BadRequest: that run trained another encoder.
        RunFailed: it is not finished, or has no weights.
    """
    theirs = load_weights(bench.input_path(START) / WEIGHTS)
    own = task.state_dict()
    fitting = {
        name: tensor
        for name, tensor in theirs.items()
        if name in own and own[name].shape == tensor.shape
    }
    for name in own.keys() | theirs.keys():
        if name.startswith("encoder.") and name not in fitting:
            said = bench.values["inputs"][START]
            raise BadRequest(
                f"inputs.{START}={said!r}: another encoder, {name} does not fit; model=…"
            )
    task.load_state_dict(own | fitting)
