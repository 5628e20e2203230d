"""Augmentations against torchvision: operations image by image, then recipes by statistics."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import transforms as T
from torchvision.transforms.v2 import functional as TF

import ppr
from ppr import registry
from ppr.augment import ops
from ppr.augment.draw import CROP_RATIO, Draw
from ppr.errors import BadRequest

ONE_ULP_OR_SO = 2e-6
"""float32 in [0, 1], sums of a few terms in another order; 8-bit rounding would be 2e-3."""

SHAPES = [(1, 8, 8), (3, 32, 32), (3, 20, 28)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fractions(n: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(n, *shape, generator=generator(seed))


def bytes_(n: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, *shape), generator=generator(seed), dtype=torch.uint8)


def draws(n: int, seed: int = 0) -> Draw:
    return Draw(n, generator(seed), torch.device("cpu"))


def build(name: str, shape: tuple[int, ...], **fields: object):
    c = shape[0]
    return ppr.build("augment", name, shape, (0.4,) * c, (0.25,) * c, **fields)


def assert_each(actual: Tensor, expected: list[Tensor], atol: float = ONE_ULP_OR_SO) -> None:
    torch.testing.assert_close(actual, torch.stack(expected), rtol=0, atol=atol)


# Operations, parameters fixed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(32, 32), (7, 5), (12, 40)])
def test_resized_crop_is_torchvisions(shape, size):
    """Enlarging, shrinking (where antialiasing matters) and both at once."""
    images, h, w = fractions(16, shape), shape[1], shape[2]
    rng = random.Random(0)
    boxes, flips = [], []
    for _ in images:
        height, width = rng.randint(1, h), rng.randint(1, w)
        boxes.append((rng.randint(0, h - height), rng.randint(0, w - width), height, width))
        flips.append(rng.random() < 0.5)
    actual = ops.resized_crop(images, torch.tensor(boxes).float(), size, torch.tensor(flips))
    expected = [
        TF.resized_crop(image, *box, size=list(size), antialias=True)
        for image, box in zip(images, boxes, strict=True)
    ]
    expected = [TF.hflip(e) if flip else e for e, flip in zip(expected, flips, strict=True)]
    assert_each(actual, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_padded_crop_is_exact(shape):
    images = bytes_(81, shape).float()
    shifts = list(itertools.product(range(-4, 5), repeat=2))
    down, right = torch.tensor(shifts).float().T
    flip = torch.arange(81) % 2 == 0
    actual = ops.padded_crop(images, down, right, flip)
    for image, out, (d, r), mirrored in zip(images, actual, shifts, flip, strict=True):
        expected = TF.crop(TF.pad(image, [4]), 4 + d, 4 + r, shape[1], shape[2])
        assert torch.equal(out, TF.hflip(expected) if mirrored else expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_affine_is_torchvisions(shape):
    images = fractions(12, shape)
    d = draws(12)
    degrees, right, down = d.uniform(-180, 180), d.uniform(-4, 4), d.uniform(-4, 4)
    scale = d.uniform(0.6, 1.5)
    # torchvision rounds nothing but takes the parameters one image at a time.
    expected = [
        TF.affine(
            image[None],
            angle=degrees[i].item(),
            translate=[right[i].item(), down[i].item()],
            scale=scale[i].item(),
            shear=[0.0, 0.0],
            interpolation=T.InterpolationMode.BILINEAR,
        )[0]
        for i, image in enumerate(images)
    ]
    # A coordinate of 30 pixels has 2e-6 of rounding, times a slope of up to 2 a pixel, four times.
    assert_each(ops.affine(images, degrees, right, down, scale), expected, atol=3e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_tones_are_torchvisions(shape):
    images = fractions(12, shape)
    ratio = draws(12).uniform(0, 2)
    zero, rest = torch.zeros(12), 1 - ratio
    for adjust, grey, mean in (
        (TF.adjust_brightness, zero, zero),
        (TF.adjust_contrast, zero, rest),
        (TF.adjust_saturation, rest, zero),
    ):
        expected = [adjust(image, r.item()) for image, r in zip(images, ratio, strict=True)]
        assert_each(ops.tone(images, ratio, grey, mean), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_grayscale_is_torchvisions(shape):
    images = fractions(4, shape)
    chosen = torch.tensor([True, False, True, False])
    expected = [
        TF.rgb_to_grayscale(image, num_output_channels=shape[0]) if c else image
        for image, c in zip(images, chosen, strict=True)
    ]
    assert_each(ops.grayscale(images, chosen), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_hue_is_torchvisions(shape):
    """Random colours; and every colour of few levels, where channels are equal, 0 or 1."""
    levels = torch.tensor(list(itertools.product((0.0, 1 / 255, 0.5, 1.0), repeat=3)))
    for images in (fractions(24, shape), levels.T.reshape(1, 3, 8, 8).repeat(24, 1, 1, 1)):
        turns = torch.cat((draws(21).uniform(-0.5, 0.5), torch.tensor([-0.5, 0.0, 0.5])))
        expected = [TF.adjust_hue(x, t.item()) for x, t in zip(images, turns, strict=True)]
        # The hue is a quotient by the chroma: rounding of 1e-7 of six sectors.
        assert_each(ops.adjust_hue(images, turns), expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_jitter_is_torchvisions_in_every_order(shape):
    orders = torch.tensor(list(itertools.permutations(range(4))))
    images, n = fractions(len(orders), shape), len(orders)
    d = draws(n)
    factors = torch.stack([d.uniform(0.3, 1.7) for _ in range(3)], 1)
    hue = d.uniform(-0.5, 0.5)
    expected = []
    for image, order, (b, c, s), h in zip(images, orders, factors.tolist(), hue, strict=True):
        adjust: list[tuple[Callable, float]] = [
            (TF.adjust_brightness, b),
            (TF.adjust_contrast, c),
            (TF.adjust_saturation, s),
            (TF.adjust_hue, h.item()),
        ]
        for i in order:
            image = adjust[i][0](image, adjust[i][1])  # noqa: PLW2901
        expected.append(image)
    actual = ops.color_jitter(images, ops.jitter_steps(factors, orders), hue)
    assert_each(actual, expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernel_size", [3, 5, 9])
def test_blur_is_torchvisions(shape, kernel_size):
    images = fractions(8, shape)
    sigma = draws(8).uniform(0.1, 2.0)
    expected = [
        TF.gaussian_blur(image, [kernel_size] * 2, [s.item()] * 2)
        for image, s in zip(images, sigma, strict=True)
    ]
    assert_each(ops.gaussian_blur(images, sigma, kernel_size), expected)
    assert torch.equal(ops.gaussian_blur(images, torch.zeros(8), kernel_size), images)


@pytest.mark.parametrize("shape", SHAPES)
def test_erase_is_torchvisions(shape):
    images = fractions(3, shape)
    value = torch.full((shape[0], 1, 1), 0.4)
    boxes = torch.tensor([[1, 2, 3, 4], [0, 0, 8, 8], [5, 5, 0, 3]])
    expected = [
        TF.erase(image, *box, v=value) for image, box in zip(images, boxes.tolist(), strict=True)
    ]
    assert torch.equal(ops.erase(images, boxes.float(), value), torch.stack(expected))


def test_cutout_is_clipped_at_the_border():
    """As in util/cutout.py of uoguelph-mlrg/Cutout: [y - side // 2, y + side // 2), clipped."""
    box = draws(4000).cutout_box((32, 24), side=7)
    assert torch.equal(box[:, 2:], torch.full((4000, 2), 6.0))
    for column, size in ((0, 32), (1, 24)):
        centre = box[:, column] + 3
        assert sorted(set(centre.tolist())) == list(range(size))
    holes = ops.erase(torch.ones(4000, 1, 32, 24), box, torch.zeros(1, 1, 1)) == 0
    assert holes.sum((1, 2, 3)).min() == 9  # centred in the last corner: 3 x 3 are left
    assert holes.sum((1, 2, 3)).max() == 36


# Distributions


def close_in_mean(ours: Tensor, theirs: Tensor) -> None:
    """Means agree within five standard errors of their difference: one false alarm in a million."""
    error = (ours.var() / len(ours) + theirs.var() / len(theirs)).sqrt()
    assert (ours.mean() - theirs.mean()).abs() <= 5 * error + 1e-6


def assert_same_distribution(ours: Tensor, theirs: Tensor) -> None:
    """First and second moments and cross moments of samples [n, k]."""
    ours, theirs = ours.double(), theirs.double()
    for a, b in zip(ours.T, theirs.T, strict=True):
        close_in_mean(a, b)
        close_in_mean(a**2, b**2)
    for i, j in itertools.combinations(range(ours.shape[1]), 2):
        close_in_mean(ours[:, i] * ours[:, j], theirs[:, i] * theirs[:, j])


@pytest.mark.parametrize(
    ("size", "scale"),
    [((32, 32), (0.2, 1.0)), ((32, 32), (0.95, 1.0)), ((12, 40), (0.3, 1.0)), ((40, 12), (0.9, 1))],
)
def test_crop_boxes_are_distributed_as_torchvisions(size, scale):
    """The narrow scales make tries fail, so that the later ones and the fallback count too."""
    torch.manual_seed(1)
    image = torch.zeros(1, *size)
    theirs = torch.tensor(
        [T.RandomResizedCrop.get_params(image, list(scale), list(CROP_RATIO)) for _ in range(3000)]
    )
    ours = draws(20000).crop_box(size, scale)
    assert torch.equal(ours, ours.round())
    assert (ours >= 0).all()
    assert (ours[:, :2] + ours[:, 2:] <= torch.tensor(size)).all()
    assert_same_distribution(ours, theirs)


def test_erasing_boxes_are_distributed_as_torchvisions():
    torch.manual_seed(1)
    image = torch.zeros(3, 32, 24)
    ranges = {"scale": (0.02, 0.33), "ratio": (0.3, 3.3), "value": [0.0]}
    theirs = torch.tensor([T.RandomErasing.get_params(image, **ranges)[:4] for _ in range(3000)])
    ours = draws(20000).erasing_box((32, 24), p=1.0)
    assert_same_distribution(ours, theirs)
    erased = draws(20000).erasing_box((32, 24), p=0.25)[:, 2] > 0
    assert erased.float().mean().item() == pytest.approx(0.25, abs=5 * math.sqrt(0.1875 / 20000))


def test_draws_are_uniform():
    d = draws(24000)
    orders = d.order(4) @ torch.tensor([1, 4, 16, 64])
    counts = orders.bincount()
    counts = counts[counts > 0]
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 60  # chi-squared, 23 degrees: p = 4e-5
    shifts = d.shift(4)
    assert sorted(set(shifts.tolist())) == list(range(-4, 5))
    assert ((torch.unique(shifts, return_counts=True)[1] - 24000 / 9) ** 2).sum() < 40 * 24000 / 9
    assert (d.factor(1.5).min(), d.factor(1.5).max() > 2.4) == (pytest.approx(0, abs=1e-3), True)


def statistics(images: Tensor) -> Tensor:
    """[n, 12]: means and spreads of channels, corner and centre pixels, colourfulness, contrast."""
    flat = images.flatten(2)
    return torch.cat(
        (
            flat.mean(2),
            flat.std(2),
            images[:, :, 0, 0],
            images[:, 0, 16:17, 16],
            images.std(1).mean((1, 2))[:, None],
            (images[:, 1, :, :16].mean((1, 2)) - images[:, 1, :, 16:].mean((1, 2)))[:, None],
        ),
        1,
    )


def picture() -> Tensor:
    """One smooth coloured picture, asymmetric, so that crops, flips and colours all show."""
    noise = torch.rand(1, 3, 5, 5, generator=generator(3))
    smooth = torch.nn.functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1)
    return (smooth[0] * 255).round().to(torch.uint8)


PIPELINES = {
    "crop_flip": [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip()],
    "contrastive": [
        T.RandomResizedCrop(32, scale=(0.2, 1.0)),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        T.RandomGrayscale(p=0.2),
    ],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_recipes_are_distributed_as_torchvisions_pil_pipeline(name):
    torch.manual_seed(2)
    image = T.ToPILImage()(picture())
    pipeline = T.Compose(
        [*PIPELINES[name], T.ToTensor(), T.Normalize((0.4, 0.4, 0.4), (0.25, 0.25, 0.25))]
    )
    theirs = statistics(torch.stack([pipeline(image) for _ in range(700)]))
    ours = statistics(build(name, (3, 32, 32))(picture().expand(6000, 3, 32, 32), generator(4)))
    # PIL truncates to 8 bits after each step: half a level of bias each, 0.002 / 0.25 normalised.
    for a, b in zip(ours.double().T, theirs.double().T, strict=True):
        error = (a.var() / len(a) + b.var() / len(b)).sqrt()
        assert (a.mean() - b.mean()).abs() < 5 * error + 0.02
        assert (a.std() / b.std()).log().abs() < 0.1


def test_probabilities_are_those_asked_for():
    n = 1500
    image = picture().expand(n, 3, 32, 32)
    still = {"min_scale": 1.0, "jitter": 0.0, "flip": 0.0, "grayscale": 0.0}
    plain = build("none", (3, 32, 32)).plain(image[:1])
    for field, p in {"flip": 0.3, "jitter": 0.6, "grayscale": 0.2, "blur": 0.5}.items():
        fields = {**still, field: p, "hue": 0.0}
        out = build("contrastive", (3, 32, 32), **fields)(image, generator(5))
        changed = ((out - plain).abs().amax((1, 2, 3)) > 1e-4).float()
        assert changed.mean().item() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / n)), field


# Every component


ALL = sorted(registry.names("augment"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALL)
def test_contract(name, shape):
    images = bytes_(70, shape)
    before = images.clone()
    augment = build(name, shape)
    out = augment(images, generator(0))
    assert (out.shape, out.dtype) == (images.shape, torch.float32)
    assert out.is_contiguous()
    assert out.isfinite().all()
    assert torch.equal(images, before)
    assert torch.equal(out, augment(images, generator(0)))
    moved = generator(0)
    assert torch.equal(out, augment(images, moved))
    assert torch.equal(out, augment(images, moved)) == (name == "none")
    low, high = (0 - 0.4) / 0.25, (1 - 0.4) / 0.25
    assert low - 1e-5 <= out.min()
    assert out.max() <= high + 1e-5
    plain = augment.plain(images)
    expected = T.Normalize((0.4,) * shape[0], (0.25,) * shape[0])(images.double() / 255)
    torch.testing.assert_close(plain.double(), expected, rtol=0, atol=1e-5)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", ALL)
def test_each_image_has_its_own_parameters(name):
    images = bytes_(1, (3, 32, 32)).expand(64, 3, 32, 32)
    out = build(name, (3, 32, 32))(images, generator())
    assert len(torch.unique(out.flatten(1), dim=0)) > 40 or name == "none"


@pytest.mark.parametrize("name", ALL)
def test_chunks_do_not_show(name, monkeypatch):
    """Parameters are drawn for the batch, so the chunk size, set for speed, changes no number."""
    images, augment = bytes_(50, (3, 32, 32)), build(name, (3, 32, 32))
    whole = augment(images, generator())
    monkeypatch.setattr("ppr.augment.base.CHUNK_VALUES", 7 * 3 * 32 * 32)
    torch.testing.assert_close(augment(images, generator()), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 224, 224)])
def test_meta_device_and_autocast(name, shape):
    """No tensor is made elsewhere than on the images' device; fp32 is kept under autocast."""
    images = torch.empty(4, *shape, dtype=torch.uint8, device="meta")
    out = build(name, shape)(images, None)
    assert (out.device.type, out.shape, out.dtype) == ("meta", images.shape, torch.float32)
    images = bytes_(2, shape)
    expected = build(name, shape)(images, generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(build(name, shape)(images, generator()), expected)


@pytest.mark.parametrize("name", ALL)
def test_empty_batch_and_grey_pictures(name):
    assert build(name, (3, 32, 32))(bytes_(0, (3, 32, 32)), generator()).shape == (0, 3, 32, 32)
    uniform = torch.full((8, 3, 32, 32), 128, dtype=torch.uint8)
    assert build(name, (3, 32, 32))(uniform, generator()).isfinite().all()


def test_optional_steps_leave_their_mark():
    images = torch.full((300, 3, 32, 32), 255, dtype=torch.uint8)
    cut = build("crop_flip", (3, 32, 32), padding=0, cutout=8)(images, generator())
    assert (cut == 0).flatten(1).any(1).all()
    assert (cut == 0).sum((2, 3)).amax() == 64
    erased = build("crop_flip", (3, 32, 32), padding=0, erasing=0.5)(images, generator())
    assert (erased == 0).flatten(1).any(1).float().mean().item() == pytest.approx(0.5, abs=0.15)


def test_float_features_of_any_shape_are_only_normalised():
    features = torch.randn(5, 7)
    augment = build("none", (7,))
    torch.testing.assert_close(augment(features, generator()), (features - 0.4) / 0.25)


@pytest.mark.parametrize(
    ("name", "shape", "fields", "says"),
    [
        ("contrastive", (3, 8, 8), {"min_scale": 0.9, "max_scale": 0.5}, "min_scale=0.9"),
        ("contrastive", (3, 8, 8), {"hue": 0.7}, "at most 0.5"),
        ("contrastive", (4, 8, 8), {}, "1 or 3 channels"),
        ("crop_flip", (64,), {}, "works on images"),
        ("affine", (1, 8, 8), {"scale": 1.0}, "scale"),
        ("crop_flip", (3, 8, 8), {"padding": -1}, "padding"),
    ],
)
def test_bad_requests_name_the_field(name, shape, fields, says):
    with pytest.raises(BadRequest, match=says):
        build(name, shape, **fields)


def test_wrong_statistics_are_refused():
    with pytest.raises(BadRequest, match="3 channels"):
        ppr.build("augment", "none", (3, 8, 8), (0.5,), (0.5,))


def test_numpy_images_of_a_data_set_pass_unchanged():
    """Read-only storage, as of memory-mapped data sets, is never written to."""
    array = np.full((4, 3, 32, 32), 9, dtype=np.uint8)
    build("contrastive", (3, 32, 32))(torch.from_numpy(array), generator())
    assert (array == 9).all()
