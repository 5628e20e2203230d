"""What every augmentation shares: scaling to [0, 1], normalising, and chunks that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ppr.augment.draw import Draw
from ppr.errors import BadRequest

CHUNK_VALUES = 3 * 2**16
"""Values worked on at a time on CPU: few enough to stay in the cache."""


class Augment:
    """Base of the components: a subclass draws `parameters` and applies them in `transform`.

    Calling it maps uint8 images [N, C, H, W] to float32, augmented and normalised, on the same
    device: (x / 255 - mean) / std. `plain` does the same without augmentation. Inputs that are
    float already are taken to be in the units of `mean` and `std`. The same generator state gives
    the same output; the input is never written to.

    The output is in contiguous NCHW order: normalising straight into channels_last takes longer
    than normalising and the copy that a model in that order makes.
    """

    def __init__(self, shape: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> None:
        """`shape` is one image's (C, H, W); `mean` and `std` are a channel's, in fractions of 1."""
        if len(mean) != shape[0] or len(std) != shape[0]:
            raise BadRequest(
                f"augment: {shape[0]} channels need as many means and standard deviations, "
                f"not {len(mean)} and {len(std)}"
            )
        self.shape = tuple(shape)
        self.mean = torch.tensor(mean, dtype=torch.float32).view(-1, *(1,) * (len(shape) - 1))
        self.std = torch.tensor(std, dtype=torch.float32).view_as(self.mean)

    def parameters(self, draw: Draw) -> dict[str, Tensor]:
        """Draw what `transform` needs, each [N, ...]."""
        raise NotImplementedError

    def transform(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """Augment float32 images [N, C, H, W] in [0, 1]; may return them but not write to them."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """`generator` must be on the images' device; None takes the device's default one."""
        self._to(images.device)
        out = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        drawn = self.parameters(Draw(len(images), generator, images.device))
        with _full_precision(images.device):
            for part in self._chunks(images):
                share = {name: value[part] for name, value in drawn.items()}
                augmented = self.transform(_as_fractions(images[part]), share)
                torch.sub(augmented, self.mean, out=out[part]).div_(self.std)
        return out

    def _chunks(self, images: Tensor) -> list[slice]:
        """Everything at once, but on CPU as many images as fit the cache."""
        if images.device.type != "cpu":
            return [slice(None)]
        size = max(1, CHUNK_VALUES // math.prod(self.shape))
        return [slice(start, start + size) for start in range(0, len(images), size)]

    def plain(self, images: Tensor) -> Tensor:
        """The deterministic transform for evaluation."""
        self._to(images.device)
        return (_as_fractions(images) - self.mean) / self.std

    def _to(self, device: torch.device) -> None:
        """Keep the statistics where the images are: copied once, not at every step."""
        if self.mean.device != device:
            self.mean, self.std = self.mean.to(device), self.std.to(device)


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Keep autocast, should the caller have it on, from crops and blurs, which are products."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _as_fractions(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    return images.to(torch.float32)


def image_size(shape: Sequence[int], name: str, channels: Sequence[int] = ()) -> tuple[int, int]:
    """(H, W) of images with an allowed number of channels.

    Raises:
        BadRequest: `shape` is not that of an image, or has another number of channels.
    """
    if len(shape) != 3 or (channels and shape[0] not in channels):
        allowed = " or ".join(map(str, channels)) or "any number of"
        raise BadRequest(
            f"augment {name!r}: works on images (C, H, W) with {allowed} channels, "
            f"not on inputs of shape {tuple(shape)}; allowed for them: none"
        )
    return shape[1], shape[2]
