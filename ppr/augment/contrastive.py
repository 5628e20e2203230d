"""Random resized crop, flip, colour jitter and grayscale: the views of SimCLR and SupCon.

The defaults are the CIFAR recipe of Khosla et al., Supervised Contrastive Learning
(https://arxiv.org/abs/2004.11362), from `set_loader` of main_supcon.py in HobbitLong/SupContrast:
RandomResizedCrop(32, scale=(0.2, 1)), RandomHorizontalFlip(), RandomApply([ColorJitter(0.4, 0.4,
0.4, 0.1)], p=0.8), RandomGrayscale(p=0.2), Normalize. Distributions are torchvision's, the random
order of the jitter's four adjustments included.

blur > 0 adds the blur of Chen et al., SimCLR (https://arxiv.org/abs/2002.05709), from `random_blur`
of data_util.py in google-research/simclr: sigma uniform in [0.1, 2] and a kernel of
2 * (H // 20) + 1, about a tenth of the image's side; here of 3 at least.

Grey images [N, 1, H, W] keep brightness and contrast; saturation, hue and grayscale do nothing to
them, as in torchvision.

Raises BadRequest for images of other than 1 or 3 channels, min_scale > max_scale, hue > 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppr.augment import ops
from ppr.augment.base import Augment, image_size
from ppr.augment.draw import Draw
from ppr.errors import BadRequest
from ppr.fields import Fraction, NonNegative
from ppr.registry import component

BLUR_SIGMA = (0.1, 2.0)


@component("augment", inputs="image")
class Contrastive(Augment):
    def __init__(
        self,
        shape: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        min_scale: Fraction = 0.2,
        max_scale: Fraction = 1.0,
        flip: Fraction = 0.5,
        jitter: Fraction = 0.8,
        brightness: NonNegative = 0.4,
        contrast: NonNegative = 0.4,
        saturation: NonNegative = 0.4,
        hue: Fraction = 0.1,
        grayscale: Fraction = 0.2,
        blur: Fraction = 0.0,
    ) -> None:
        """`min_scale` and `max_scale` are shares of area, `jitter` … `blur` probabilities."""
        super().__init__(shape, mean, std)
        self.size = image_size(shape, "contrastive", channels=(1, 3))
        if min_scale > max_scale:
            raise BadRequest(
                f"augment.min_scale={min_scale}: must be at most max_scale={max_scale}"
            )
        if hue > 0.5:
            raise BadRequest(f"augment.hue={hue}: must be at most 0.5, half the colour circle")
        self.scale = (min_scale, max_scale)
        self.flip = flip
        self.jitter = jitter
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.grayscale = grayscale
        self.blur = blur
        self.kernel_size = max(3, 2 * (min(self.size) // 20) + 1)

    def parameters(self, draw: Draw) -> dict[str, Tensor]:
        drawn = {"box": draw.crop_box(self.size, self.scale), "flip": draw.chance(self.flip)}
        if self.jitter:
            chosen = draw.chance(self.jitter)
            strengths = (self.brightness, self.contrast, self.saturation)
            factors = [torch.where(chosen, draw.factor(strength), 1) for strength in strengths]
            drawn["steps"] = ops.jitter_steps(torch.stack(factors, 1), draw.order(4))
            drawn["hue"] = draw.uniform(-self.hue, self.hue) * chosen
        if self.grayscale:
            drawn["grayscale"] = draw.chance(self.grayscale)
        if self.blur:
            drawn["sigma"] = draw.uniform(*BLUR_SIGMA) * draw.chance(self.blur)
        return drawn

    def transform(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        images = ops.resized_crop(images, drawn["box"], self.size, drawn["flip"])
        if self.jitter:
            images = ops.color_jitter(images, drawn["steps"], drawn["hue"])
        if self.grayscale:
            images = ops.grayscale(images, drawn["grayscale"])
        if self.blur:
            images = ops.gaussian_blur(images, drawn["sigma"], self.kernel_size)
        return images
