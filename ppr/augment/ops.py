"""Image operations on whole batches, each image with its own parameters.

Images are float32 [N, C, H, W] in [0, 1]; every parameter is a tensor [N] on the images' device, a
box [N, 4] of whole pixels (top, left, height, width) kept as float32.
Nothing here is random (see `draw`), loops over images, waits for the device, or writes to its
input. Each operation equals the tensor version in `torchvision.transforms.v2.functional` on a float
image. The PIL version differs from both by its rounding to 8 bits after every operation.

Crops, resizes and blurs are separable and linear, so each is one matrix per image and axis:
out = rows @ image @ columns^T, two batched products that also do the flip. If the caller allows
TF32 products (`torch.set_float32_matmul_precision("high")`), a pixel errs by about 1/1000 of its
value; rounding to 8 bits errs by up to 1/510.

Not by kornia, which also draws for each image of a batch: on a core of a CPU this is some three
times as fast (benchmarks/augment.py), and it draws from the run's own generator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""ITU-R 601 weights of red, green and blue, with the digits that torchvision uses."""


def per_image(values: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1], to broadcast over images."""
    return values.view(-1, 1, 1, 1)


def separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply `rows` [N, H', H] and `columns` [N, W', W] to images [N, C, H, W]: [N, C, H', W']."""
    n, c, h, w = images.shape
    # All channels' lines make one tall matrix: N products instead of N * C.
    across = torch.bmm(images.reshape(n, c * h, w), columns.transpose(1, 2))
    return torch.matmul(rows[:, None], across.view(n, c, h, columns.shape[1]))


def _output_centres(size: int, mirror: Tensor | None, like: Tensor) -> Tensor:
    """Centres of the output pixels, [1 or N, size], counted from the far end where mirrored."""
    centres = torch.arange(size, dtype=like.dtype, device=like.device)[None] + 0.5
    return centres if mirror is None else torch.where(mirror[:, None], size - centres, centres)


def resize_weights(
    start: Tensor, length: Tensor, source: int, size: int, mirror: Tensor | None = None
) -> Tensor:
    """Weights [N, size, source] that resize pixels [start, start + length) of a line to `size`.

    Bilinear with antialiasing: a triangle as wide as the larger of the two pixels, cut at the ends
    of the crop and normalised. Enlarging, where antialiasing has no effect, it is the plain one.
    """
    scale = (length / size)[:, None]
    centres = start[:, None] + scale * _output_centres(size, mirror, start)
    pixels = torch.arange(source, dtype=start.dtype, device=start.device) + 0.5
    distance = (pixels - centres[:, :, None]).div_(scale.clamp(min=1)[:, :, None])
    weights = distance.abs_().neg_().add_(1).clamp_(min=0)
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])
    weights.mul_(inside[:, None].to(weights.dtype))
    return weights.div_(weights.sum(2, keepdim=True))


def resized_crop(
    images: Tensor, box: Tensor, size: tuple[int, int], flip: Tensor | None = None
) -> Tensor:
    """Cut `box`, resize it to `size` (height, width), then mirror images where `flip` is true."""
    h, w = images.shape[-2:]
    top, left, height, width = box.unbind(1)
    rows = resize_weights(top, height, h, size[0])
    columns = resize_weights(left, width, w, size[1], flip)
    return separable(images, rows, columns)


def _shift_weights(shift: Tensor, size: int, mirror: Tensor | None = None) -> Tensor:
    """One-hot weights [N, size, size]: output pixel i reads input pixel i + shift, or nothing."""
    wanted = _output_centres(size, mirror, shift) + shift[:, None]
    pixels = torch.arange(size, dtype=shift.dtype, device=shift.device) + 0.5
    return (wanted[:, :, None] == pixels).to(shift.dtype)


def padded_crop(images: Tensor, down: Tensor, right: Tensor, flip: Tensor | None = None) -> Tensor:
    """Move the window by whole pixels over black surroundings, then mirror where `flip` is true."""
    h, w = images.shape[-2:]
    return separable(images, _shift_weights(down, h), _shift_weights(right, w, flip))


def affine(images: Tensor, degrees: Tensor, right: Tensor, down: Tensor, scale: Tensor) -> Tensor:
    """Rotate clockwise about the centre, enlarge by `scale`, move by pixels; black outside."""
    h, w = images.shape[-2:]
    # affine_grid wants the map from output to input, in coordinates that run from -1 to 1.
    cosine = degrees.deg2rad().cos() / scale
    sine = degrees.deg2rad().sin() / scale
    x = -(cosine * right + sine * down) * (2 / w)
    y = -(cosine * down - sine * right) * (2 / h)
    to_input = torch.stack((cosine, sine * (h / w), x, -sine * (w / h), cosine, y), 1)
    grid = F.affine_grid(to_input.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def luma(images: Tensor) -> Tensor:
    """Grey version [N, 1, H, W]; a grey image is its own."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images[:, :1], images[:, 1:2], images[:, 2:]
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def tone(images: Tensor, ratio: Tensor, grey: Tensor, mean: Tensor) -> Tensor:
    """ratio * image + grey * luma + mean * average of luma, clamped to [0, 1].

    With weights that sum to 1 this blends the image with its grey self (saturation) or with its
    mean grey (contrast); with `grey` and `mean` 0 it is brightness, and ratio 1 changes nothing.
    """
    shade = luma(images)
    average = shade.mean((2, 3), keepdim=True)
    base = (shade * per_image(grey)).add_(average * per_image(mean))
    return (images * per_image(ratio)).add_(base).clamp_(0, 1)


def grayscale(images: Tensor, chosen: Tensor) -> Tensor:
    """Grey in all channels where `chosen` is true."""
    weight = chosen.to(images.dtype)
    return tone(images, 1 - weight, weight, torch.zeros_like(weight))


def adjust_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of RGB images by a fraction of the HSV circle; grey images have none to turn.

    HSV keeps the largest and smallest channel, so only the hue is computed. The smallest channel
    tells the third of the circle, and within it the hue is linear in the other two.
    """
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    top, low = images.amax(1), images.amin(1)
    chroma = top - low
    # Masks by sign and product: on CPU `where` costs ten times as much as a multiplication.
    red_is_more, _, blue_is_more = (images - low[:, None]).sign_().unbind(1)
    green_least = red_is_more * blue_is_more
    red_least = blue_is_more - green_least
    blue_least = 1 - blue_is_more
    hue = blue_least * (green - red)
    hue.addcmul_(red_least, blue - green).addcmul_(green_least, red - blue)
    hue.div_(chroma.clamp(min=torch.finfo(images.dtype).tiny))
    hue.add_(blue_least).add_(red_least, alpha=3).add_(green_least, alpha=5).div_(6)
    hue.add_(turn.remainder(1)[:, None, None])
    # A channel is `top` less its share of chroma, a trapezoid in the hue at 5/6, 3/6 and 1/6.
    phase = torch.arange(5, 0, -2, dtype=images.dtype, device=images.device) / 6
    share = (hue[:, None] + phase[:, None, None]).frac_()
    share.sub_(1 / 3).abs_().mul_(-6).add_(2).clamp_(0, 1)
    return torch.addcmul(top[:, None], share, chroma[:, None], value=-1)


def jitter_steps(factors: Tensor, order: Tensor) -> Tensor:
    """The `tone`s, (ratio, grey, mean), that `color_jitter` takes, [N, 6, 3].

    `factors` [N, 3] are those of brightness, contrast and saturation; `order` [N, 4] lists each
    image's adjustments as they come, by torchvision's numbers: 0, 1, 2 for these three, 3 for hue.
    """
    place = order.argsort(1)
    sequence = place[:, :3].argsort(1)
    before_hue = place.gather(1, sequence) < place[:, 3:]
    ratio = factors.gather(1, sequence)
    ratio = torch.cat((torch.where(before_hue, ratio, 1), torch.where(before_hue, 1, ratio)), 1)
    kind = sequence.repeat(1, 2)
    rest = 1 - ratio
    return torch.stack((ratio, rest * (kind == 2), rest * (kind == 1)), 2)


def color_jitter(images: Tensor, steps: Tensor, hue: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue, each image in its own order.

    The first three are all `tone`s. So three of them before the hue and three after it, half of the
    `steps` set to change nothing, cover every order, with the costly hue done once.
    """
    for i in range(6):
        if i == 3:
            images = adjust_hue(images, hue)
        images = tone(images, *steps[:, i].unbind(1))
    return images


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int) -> Tensor:
    """Blur with an odd `kernel_size` and reflected borders; sigma 0 leaves an image as it is."""
    radius = kernel_size // 2
    taps = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    # So narrow a Gaussian underflows to 0 everywhere but at its centre.
    kernel = (taps / sigma.clamp(min=1e-3)[:, None]).square_().mul_(-0.5).exp_()
    kernel = kernel / kernel.sum(1, keepdim=True)
    rows, columns = (_blur_weights(kernel, taps, size) for size in images.shape[-2:])
    return separable(images, rows, columns)


def _blur_weights(kernel: Tensor, taps: Tensor, size: int) -> Tensor:
    """Kernels [N, K] spread over lines of `size` pixels, [N, size, size]."""
    pixels = torch.arange(size, dtype=kernel.dtype, device=kernel.device)
    # To and fro between the ends; a line of one pixel is nothing but that pixel.
    reads = (pixels[:, None] + taps).remainder_(max(1, 2 * (size - 1)))
    reads = (size - 1) - ((size - 1) - reads).abs_()
    hits = (reads.T[:, :, None] == pixels).to(kernel.dtype)
    return (kernel @ hits.flatten(1)).view(-1, size, size)


def erase(images: Tensor, box: Tensor, value: Tensor) -> Tensor:
    """Fill `box`, as far as it lies within the image, with `value` [C, 1, 1]."""
    h, w = images.shape[-2:]
    y = torch.arange(h, dtype=images.dtype, device=images.device)
    x = torch.arange(w, dtype=images.dtype, device=images.device)
    top, left, height, width = box[:, :, None].unbind(1)
    rows = (y >= top) & (y < top + height)
    columns = (x >= left) & (x < left + width)
    return torch.where((rows[:, :, None] & columns[:, None])[:, None], value, images)
