"""Small random shift, rotation, scaling, brightness and noise: mild views of small grey images.

For images in which a flip or a strong crop changes the class, such as 8x8 digits. All is drawn
uniformly and symmetrically about "no change"; the noise is Gaussian:
  degrees     largest rotation, either way
  shift       largest move along each axis, as a fraction of the image's side
  scale       largest relative change of size
  brightness  largest relative change of brightness
  noise       standard deviation, as a fraction of full brightness
Pixels from outside the image are black. Values stay in [0, 1] before normalising. The defaults
suit supervised contrast on scikit-learn's 8x8 digits: twice as strong did worse there.

Raises BadRequest for inputs that are not images, scale = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ppr.augment import ops
from ppr.augment.base import Augment, image_size
from ppr.augment.draw import Draw
from ppr.errors import BadRequest
from ppr.fields import Fraction, NonNegative
from ppr.registry import component


@component("augment", inputs="image")
class Affine(Augment):
    def __init__(
        self,
        shape: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        degrees: NonNegative = 10.0,
        shift: Fraction = 0.0625,
        scale: Fraction = 0.1,
        brightness: NonNegative = 0.1,
        noise: NonNegative = 0.03,
    ) -> None:
        super().__init__(shape, mean, std)
        self.size = image_size(shape, "affine")
        if scale == 1:
            raise BadRequest("augment.scale=1: must be less than 1, or images shrink to nothing")
        self.degrees = degrees
        self.shift = shift
        self.scale = scale
        self.brightness = brightness
        self.noise = noise

    def parameters(self, draw: Draw) -> dict[str, Tensor]:
        h, w = self.size
        drawn = {
            "degrees": draw.uniform(-self.degrees, self.degrees),
            "right": draw.uniform(-self.shift, self.shift) * w,
            "down": draw.uniform(-self.shift, self.shift) * h,
            "scale": draw.uniform(1 - self.scale, 1 + self.scale),
            "brightness": draw.factor(self.brightness),
        }
        if self.noise:
            drawn["noise"] = draw.normal(*self.shape)
        return drawn

    def transform(self, images: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        geometry = (drawn[name] for name in ("degrees", "right", "down", "scale"))
        images = ops.affine(images, *geometry).mul_(ops.per_image(drawn["brightness"]))
        if self.noise:
            images.add_(drawn["noise"], alpha=self.noise)
        return images.clamp_(0, 1)
