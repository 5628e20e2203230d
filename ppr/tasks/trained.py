"""The network that another run has trained, as it was left: a distillation teacher, say.

inputs: {teacher: "experiment=ce_digits model=resnet34"}
"""

from __future__ import annotations

from torch import nn

from ppr import registry
from ppr.config.composed import find_input
from ppr.engine.bench import Bench
from ppr.engine.checkpoints import WEIGHTS, load_weights
from ppr.errors import BadRequest
from ppr.results.finished import is_finished

PARTS = ("encoder", "classifier")


def trained(bench: Bench, name: str) -> nn.Sequential:
    """Inputs -> logits of the run `inputs.<name>`: frozen, in eval mode, on the run's device.

    On synthetic data, where that run need not have been done, its networks are as they begin.

    Raises:
        BadRequest: the config names no such input, or its network is for other inputs or classes.
        RunFailed: that run has not been run to its end.
    """
    config = find_input(bench.inputs, name)
    data = bench.dataset
    encoder = registry.make("model", config["model"], data.shape)
    classifier = registry.make("head", config["head"], encoder.features, len(data.classes))
    if not bench.values["data"]["synthetic"] or is_finished(config):
        weights = load_weights(bench.input_path(name) / WEIGHTS)
        for part, module in zip(PARTS, (encoder, classifier), strict=True):
            start = f"{part}."
            own = {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}
            try:
                module.load_state_dict(own)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise BadRequest(f"inputs.{name}: its {part} does not fit: {reason}") from None
    network = nn.Sequential(encoder, classifier).to(bench.device)
    return network.requires_grad_(False).eval()
