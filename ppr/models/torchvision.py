"""Any classification network of torchvision, by name: `model.name=torchvision/convnext_tiny`.

Its last layer, the classifier, is replaced by the identity; its first convolution by a new one
where the images do not have three channels. What else comes before the classifier stays (a
dropout, VGG's hidden layers). Auxiliary classifiers are left out. Names and weights:
https://docs.pytorch.org/vision/stable/models.html.

Shapes: [N, C, H, W] -> [N, F], F the input width of the removed classifier.
"""

from __future__ import annotations

from typing import Any

import torchvision
from torch import nn

from ppr.errors import BadRequest, RunFailed, choices
from ppr.models.encoder import Encoder
from ppr.registry import component

WITH_AUXILIARY_CLASSIFIERS = ("googlenet", "inception_v3")


@component("model", inputs="image", features="sample")
def torchvision_model(shape: tuple[int, ...], *, variant: str, pretrained: bool = False) -> Encoder:
    """
    Raises:
        BadRequest: unknown variant; images that the network cannot take.
        RunFailed: the pretrained weights cannot be downloaded.
    """
    name = f"torchvision/{variant}"
    known = torchvision.models.list_models(module=torchvision.models)
    if variant not in known:
        raise BadRequest(f"unknown model.name={name!r}: {choices(variant, known)}")
    channels = shape[0]
    if pretrained and channels != 3:
        raise BadRequest(f"model.pretrained=true: {name} has weights for 3 channels only")
    weights = "DEFAULT" if pretrained else None
    options = _options(variant, shape, pretrained)
    try:
        body = torchvision.models.get_model(variant, weights=weights, **options)
    except (AssertionError, ValueError) as error:
        size = "×".join(map(str, shape))
        raise BadRequest(f"model.name={name}: cannot take inputs of {size}: {error}") from None
    except OSError as error:
        raise RunFailed(f"model.pretrained=true: no weights of {name}: {error}") from None
    layers = [key for key, part in body.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]
    body.set_submodule(layers[-1], nn.Identity())
    if channels != 3:
        first = next(key for key in layers if isinstance(body.get_submodule(key), nn.Conv2d))
        body.set_submodule(first, _with_channels(body.get_submodule(first), channels))
    return Encoder(body, shape, name)


def _options(variant: str, shape: tuple[int, ...], pretrained: bool) -> dict[str, Any]:
    """What some networks must be told: their input's size, to have no auxiliary classifiers."""
    if variant.startswith("vit_"):
        return {"image_size": max(shape[1:])}
    if variant.startswith("maxvit_"):
        return {"input_size": shape[1:]}
    if variant in WITH_AUXILIARY_CLASSIFIERS:
        return {"aux_logits": False, **({} if pretrained else {"init_weights": True})}
    return {}


def _with_channels(convolution: nn.Module, channels: int) -> nn.Conv2d:
    """A new convolution like the given one, from another number of channels."""
    assert isinstance(convolution, nn.Conv2d)
    new = nn.Conv2d(
        channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,  # type: ignore[arg-type]
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new
