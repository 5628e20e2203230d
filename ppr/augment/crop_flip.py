"""Random crop of the zero-padded image and horizontal flip: the usual CIFAR recipe for classifiers.

As `transform_train` in main.py of kuangliu/pytorch-cifar: torchvision's RandomCrop(32, padding=4),
RandomHorizontalFlip(), Normalize.

Optional, after normalising, so that 0 is the mean colour:
  cutout   side of the square of Cutout, DeVries & Taylor (https://arxiv.org/abs/1708.04552), its
           centre uniform in the image, as in util/cutout.py of uoguelph-mlrg/Cutout; 0 is off
  erasing  probability of torchvision's RandomErasing, Zhong et al. (https://arxiv.org/abs/1708.04896)
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ppr.augment import ops
from ppr.augment.base import Augment, image_size
from ppr.augment.draw import Draw
from ppr.errors import BadRequest
from ppr.fields import Fraction, Whole
from ppr.registry import component


@component("augment", inputs="image")
class CropFlip(Augment):
    def __init__(
        self,
        shape: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        padding: Whole = 4,
        flip: Fraction = 0.5,
        cutout: Whole = 0,
        erasing: Fraction = 0.0,
    ) -> None:
        super().__init__(shape, mean, std)
        self.size = image_size(shape, "crop_flip")
        for name, reach in (("padding", padding), ("cutout", cutout)):
            if reach >= min(self.size):
                what = f"would take all of an image of {self.size[0]}x{self.size[1]}"
                raise BadRequest(f"augment.{name}={reach}: {what}; allowed: below {min(self.size)}")
        self.padding = padding
        self.flip = flip
        self.cutout = cutout
        self.erasing = erasing

    def parameters(self, draw: Draw) -> dict[str, Tensor]:
        drawn = {
            "down": draw.shift(self.padding),
            "right": draw.shift(self.padding),
            "flip": draw.chance(self.flip),
        }
        if self.cutout:
            drawn["cutout"] = draw.cutout_box(self.size, self.cutout)
        if self.erasing:
            drawn["erasing"] = draw.erasing_box(self.size, self.erasing)
        return drawn

    def transform(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        images = ops.padded_crop(images, drawn["down"], drawn["right"], drawn["flip"])
        for hole in ("cutout", "erasing"):
            if hole in drawn:
                images = ops.erase(images, drawn[hole], self.mean)
        return images
