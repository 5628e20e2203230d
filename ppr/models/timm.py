"""Any image network of the timm library, by name: `model.name=timm/vit_tiny_patch16_224`.

A name may end in a weights tag (`timm/resnet50.a1_in1k`), which says what `pretrained` loads.
Networks with a fixed input size are built for that of the data, their position embeddings
resampled where they are pretrained; others are convolutional and take what comes. Names and
weights: https://huggingface.co/docs/timm.

Shapes: [N, C, H, W] -> [N, F], F the width that the network's own classifier would have as input.
"""

from __future__ import annotations

from typing import Any

from ppr.errors import BadRequest, RunFailed, choices
from ppr.models.encoder import Encoder
from ppr.registry import component


@component("model", inputs="image", features="sample")
def timm_model(shape: tuple[int, ...], *, variant: str, pretrained: bool = False) -> Encoder:
    """
    Raises:
        BadRequest: timm is not installed; unknown variant; images that the network cannot take.
        RunFailed: the pretrained weights cannot be downloaded.
    """
    name = f"timm/{variant}"
    try:
        import timm
    except ImportError:
        raise BadRequest(f"model.name={name} needs timm: pip install 'ppr[timm]'") from None
    # A name on a hub (hf-hub:..., local-dir:...) could bring code along; only timm's own are taken.
    if ":" in variant or not timm.is_model(variant):
        every = timm.list_models(pretrained=True) if "." in variant else timm.list_models()
        known = [other for other in every if other.startswith(variant)] or every
        raise BadRequest(f"unknown model.name={name!r}: {choices(variant, known)}")
    options: dict[str, Any] = {"in_chans": shape[0]}
    try:
        weights = timm.get_pretrained_cfg(variant)
        if weights is not None and weights.fixed_input_size:
            options["img_size"] = shape[1:]
        body = timm.create_model(variant, pretrained=pretrained, num_classes=0, **options)
    except OSError as error:
        raise RunFailed(f"model.pretrained=true: no weights of {name}: {error}") from None
    except (AssertionError, RuntimeError, ValueError) as error:
        size = "×".join(map(str, shape))
        raise BadRequest(f"model.name={name} for inputs of {size}: {error}") from None
    return Encoder(body, shape, name)
