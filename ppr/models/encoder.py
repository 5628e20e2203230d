"""Another library's network, its classifier already removed, behind the interface of a model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.errors import BadRequest


class Encoder(nn.Module):
    """Maps [N, *shape] to [N, F]; `features` is F, read off the network itself.

    A wrapper rather than an attribute on the network: VGG, DenseNet, MobileNet and others already
    have a submodule named `features`.

    Raises:
        BadRequest: the network cannot take inputs of this shape.
    """

    features: int

    def __init__(self, body: nn.Module, shape: tuple[int, ...], name: str) -> None:
        super().__init__()
        self.body = body
        self.features = _output_width(self, shape, name)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.body(images)
        return output.flatten(1)


def _output_width(model: nn.Module, shape: tuple[int, ...], name: str) -> int:
    """The model's output width, from a forward pass that computes shapes only.

    Libraries' own attributes disagree (some count the features before a last convolution), and an
    input too small for the network's strides is best refused before any data is read.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {key: torch.empty_like(value, device="meta") for key, value in state.items()}
    images = torch.empty(2, *shape, device="meta")
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            output = torch.func.functional_call(model, shapes, (images,))
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        size = "×".join(map(str, shape))
        raise BadRequest(f"model.name={name}: cannot take inputs of {size}: {reason}") from None
    finally:
        model.train(training)
    return int(output.shape[1])
