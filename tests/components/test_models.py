"""Models and heads: widths, parameter counts, and the same numbers in any layout or precision."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from torch import nn

import ppr
from ppr import registry
from ppr.errors import BadRequest

TESTS = Path(__file__).parents[1]
CONFIGS = Path(__file__).parents[2] / "configs"
COLOUR, GREY = (3, 32, 32), (1, 8, 8)

# ViT-Tiny, width 192, on 2x2 patches of 16x16: a block's four matrices with biases and two norms.
BLOCK = (192 * 3 * 192 + 3 * 192) + (192 + 1) * 192 + (192 + 1) * 768 + (768 + 1) * 192 + 4 * 192
VIT = 12 * BLOCK + (3 * 16 * 16 + 1) * 192 + (1 + 1 + 4) * 192 + 2 * 192
# Two 3x3 convolutions with bias and two norms a stage; 4x4 pixels of 196 channels; a norm of 256.
APL_CNN = sum(9 * (a + b) * b + 6 * b for a, b in ((3, 64), (64, 128), (128, 196)))
APL_CNN += (4 * 4 * 196 + 1) * 256 + 2 * 256

# WRN-16-4: 3x3 convolutions and norms of two blocks a stage, a 1x1 convolution where it widens.
WIDTHS = ((16, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256))
WRN = sum(9 * (a * b + b * b) + 2 * (a + b) + (a != b) * a * b for a, b in WIDTHS)

# component: (fields, input shape, features, parameters)
# Parameters of a ResNet: torchvision's, less its classifier and what the smaller stem saves.
MODELS = {
    "resnet": ({"depth": 18}, COLOUR, 512, 11_689_512 - 513_000 - 64 * 3 * (49 - 9)),
    "small_resnet": ({}, COLOUR, 128, 307_360),
    "wide_resnet": ({"depth": 16, "widening": 4}, COLOUR, 256, 9 * 3 * 16 + WRN + 2 * 256),
    "small_cnn": ({"channels": [16, 32]}, COLOUR, 32, 9 * (3 * 16 + 16 * 32) + 2 * (16 + 32)),
    "apl_cnn": ({}, COLOUR, 256, APL_CNN),
    "mlp": ({"hidden": [32, 16]}, GREY, 16, 64 * 32 + 32 + 32 * 16 + 16),
    "torchvision": ({"variant": "squeezenet1_1"}, COLOUR, 512, 1_235_496 - 513_000),
    "timm": ({"variant": "vit_tiny_patch16_224"}, COLOUR, 192, VIT),
}
# Those that give features at every position, or none of their own, and the file that tests them.
ELSEWHERE = {
    "gcn": "test_graph",
    "gru": "test_models",
    "unet": "test_predict",
    "identity": "test_models",
    "matrix_factorisation": "test_recommend",
}
# component: (fields, outputs for 512 features and 10 classes, parameters)
HEADS = {
    "projection": ({}, 128, 512 * 512 + 512 + 512 * 128 + 128),
    "linear": ({}, 10, 512 * 10 + 10),
    "linear_prior": ({}, 10, 512 * 10 + 10),
    "identity": ({}, 512, 0),
    "cosine": ({}, 10, 512 * 10),
}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def make(name, shape=None):
    torch.manual_seed(0)
    fields, own_shape, *_ = MODELS[name]
    return ppr.build("model", name, shape or own_shape, **fields).eval()


def test_every_component_has_a_row():
    assert set(registry.names("model")) == {*MODELS, *ELSEWHERE}
    for name, file in ELSEWHERE.items():
        assert name in next(TESTS.rglob(f"{file}.py")).read_text(), name
    assert set(registry.names("head")) == set(HEADS)


@pytest.mark.parametrize("name", MODELS)
def test_model_width_and_parameters(name):
    _, shape, features, count = MODELS[name]
    model = make(name)
    assert model.features == features
    assert model(torch.randn(2, *shape)).shape == (2, features)
    assert parameters(model) == count


@pytest.mark.parametrize("name", MODELS)
def test_model_runs_on_the_meta_device(name):
    shape = MODELS[name][1]
    output = make(name).to("meta").train()(torch.randn(2, *shape, device="meta"))
    assert output.device.type == "meta"
    assert output.shape == (2, MODELS[name][2])


@pytest.mark.parametrize("name", MODELS)
def test_channels_last_and_bfloat16_change_rounding_only(name):
    shape = MODELS[name][1]
    model, images = make(name), torch.randn(8, *shape)
    with torch.no_grad():
        expected = model(images)
        last = copy.deepcopy(model).double().to(memory_format=torch.channels_last)
        exact = last(images.double().contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(exact, model.double()(images.double()))
        model.float().to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(images)
    error = (half.float() - expected).norm() / expected.norm()
    assert 0 < error < 0.05


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_gets_a_gradient(name):
    model = make(name).train()
    model(torch.randn(4, *MODELS[name][1])).square().sum().backward()
    unused = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not unused


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_weights(name):
    first, second = make(name).state_dict(), make(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_no_model_hands_its_inputs_on_flat():
    model, inputs = ppr.build("model", "identity", (3, 4)), torch.randn(5, 3, 4)
    assert model.features == 12
    assert torch.equal(model(inputs), inputs.reshape(5, 12))


def test_gru_sees_what_came_before_and_nothing_else():
    torch.manual_seed(0)
    model = ppr.build("model", "gru", (6,), vocabulary=5, width=3, hidden=4)
    tokens = torch.randint(5, (2, 6))
    other = tokens.clone()
    other[:, 3] = (tokens[:, 3] + 1) % 5
    first, second = model(tokens), model(other)
    assert first.shape == (2, 6, model.features)
    torch.testing.assert_close(first[:, :3], second[:, :3])
    assert (first[:, 3:] - second[:, 3:]).abs().amin(dim=(0, 1)).max() > 0


def test_small_cnn_keeps_places_if_asked():
    mean, kept = (
        ppr.build("model", "small_cnn", (1, 28, 28), channels=[4, 8], places=p)
        for p in (False, True)
    )
    kept.load_state_dict(mean.state_dict())
    images = torch.rand(3, 1, 28, 28)
    assert (mean.features, kept.features) == (8, 8 * 7 * 7)
    torch.testing.assert_close(mean(images), kept(images).view(3, 8, 49).mean(2))


@pytest.mark.parametrize("depth", [18, 34, 50])
@pytest.mark.parametrize("channels", [1, 3])
def test_resnet_is_torchvisions_with_another_stem(depth, channels):
    with torch.device("meta"):
        whole = getattr(torchvision.models, f"resnet{depth}")()
        wide = ppr.build("model", "resnet", (channels, 64, 64), depth=depth, stem="imagenet")
        small = ppr.build("model", "resnet", (channels, 32, 32), depth=depth)
    body = parameters(whole) - parameters(whole.fc) - parameters(whole.conv1)
    assert parameters(wide) == body + 64 * channels * 49
    assert parameters(small) == body + 64 * channels * 9
    assert small.features == wide.features == whole.fc.in_features


@pytest.mark.parametrize(("stem", "side"), [("cifar", 64), ("imagenet", 16)])
def test_stem_keeps_or_quarters_the_resolution(stem, side):
    model = ppr.build("model", "resnet", COLOUR, depth=18, stem=stem).to("meta")
    sizes = []
    model.layer1.register_forward_hook(lambda *call: sizes.append(call[2].shape[-2:]))
    model(torch.empty(2, 3, 64, 64, device="meta"))
    assert sizes == [(side, side)]


@pytest.mark.parametrize("depth", [18, 50])
def test_zero_init_residual_makes_every_block_its_shortcut(depth):
    model = ppr.build("model", "resnet", COLOUR, depth=depth, zero_init_residual=True)
    block = model.layer2[1].eval()
    values = torch.rand(2, block.conv1.in_channels, 4, 4)
    torch.testing.assert_close(block(values), values)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 13), (3, 32, 32), (4, 64, 48)])
def test_small_resnet_takes_any_shape(shape):
    model = ppr.build("model", "small_resnet", shape, width=8, blocks=2, stem_stride=1)
    assert model(torch.randn(3, *shape)).shape == (3, 32)


def test_mlp_is_its_equation():
    model = ppr.build("model", "mlp", GREY, hidden=[5, 4], activation="tanh").double()
    images = torch.randn(3, *GREY, dtype=torch.float64)
    first, _, second = model[1], model[2], model[3]
    inner = (images.flatten(1) @ first.weight.T + first.bias).tanh()
    expected = (inner @ second.weight.T + second.bias).tanh()
    torch.testing.assert_close(model(images), expected)


def test_mlp_batch_norm_normalises():
    model = ppr.build("model", "mlp", GREY, hidden=[6], activation="tanh", batch_norm=True)
    output = model(5 + 3 * torch.randn(512, *GREY)).atanh()
    torch.testing.assert_close(output.mean(0), torch.zeros(6), atol=1e-2, rtol=0)
    torch.testing.assert_close(output.std(0), torch.ones(6), atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    "variant", ["vgg11", "googlenet", "mobilenet_v3_small", "vit_b_32", "densenet121"]
)
def test_torchvision_network_without_its_classifier(variant):
    shape = (1, 32, 32)
    options = {"init_weights": False} if variant == "googlenet" else {}
    with torch.device("meta"):
        model = ppr.build("model", f"torchvision/{variant}", shape)
        whole = torchvision.models.get_model(variant, **options)
        output = model(torch.empty(2, *shape))
    classifier = [part for part in whole.modules() if isinstance(part, nn.Linear)][-1]
    assert output.shape == (2, classifier.in_features)
    assert model.features == classifier.in_features


def test_timm_network_takes_grey_images_of_any_size():
    model = ppr.build("model", "timm/convnext_atto", (1, 64, 48))
    assert model(torch.randn(2, 1, 64, 48)).shape == (2, model.features)


@pytest.mark.parametrize(
    ("name", "shape", "fields", "words"),
    [
        ("torchvision/resnet_18", COLOUR, {}, "did you mean 'resnet18'"),
        ("torchvision/vit_b_16", (3, 32, 40), {}, "torchvision/vit_b_16"),
        ("torchvision/alexnet", COLOUR, {}, "cannot take inputs of 3×32×32"),
        ("torchvision/resnet18", GREY, {"pretrained": True}, "3 channels"),
        ("timm/resnet_18", COLOUR, {}, "did you mean 'resnet18'"),
        ("timm/vit_tiny", COLOUR, {}, "allowed: vit_tiny_patch16_224"),
        ("timm/resnet18.nope", COLOUR, {}, "nope"),
        ("timm/hf-hub:someone/something", COLOUR, {}, "unknown model.name"),
        ("timm/inception_v4", COLOUR, {}, "cannot take inputs of 3×32×32"),
        ("mlp", GREY, {"hidden": []}, "model.hidden"),
        ("resnet", COLOUR, {"depth": 20}, "18, 34 or 50"),
    ],
)
def test_bad_requests_are_one_line(name, shape, fields, words):
    with pytest.raises(BadRequest) as caught:
        ppr.build("model", name, shape, **fields)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_timm_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadRequest, match="pip install"):
        ppr.build("model", "timm/resnet18", COLOUR)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_head_width_and_parameters(name, device):
    fields, width, count = HEADS[name]
    head = ppr.build("head", name, 512, 10, **fields).to(device)
    assert head(torch.randn(4, 512, device=device)).shape == (4, width)
    assert parameters(head) == count


def test_projection_head_is_its_equation():
    head = ppr.build("head", "projection", 6, 10, dim=3, hidden=5).double()
    features = torch.randn(4, 6, dtype=torch.float64)
    first, last = head[0], head[2]
    expected = (features @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    torch.testing.assert_close(head(features), expected)


def test_simclr_projection_head_normalises_every_layer():
    head = ppr.build("head", "projection", 64, 10, dim=16, layers=3, batch_norm=True)
    # Three matrices, a scale and an offset for two hidden layers, a scale alone for the last.
    assert parameters(head) == 64 * 64 * 2 + 64 * 16 + 4 * 64 + 16
    output = head(3 + torch.randn(256, 64))
    torch.testing.assert_close(output.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.std(0, correction=0), torch.ones(16), atol=1e-2, rtol=0)


@pytest.mark.parametrize("kind", ["model", "head"])
def test_presets_build(kind):
    presets = sorted((CONFIGS / kind).rglob("*.yaml"))
    assert presets
    parts = {"model": [COLOUR], "head": [512, 10]}[kind]
    for preset in presets:
        fields = yaml.safe_load(preset.read_text())
        with torch.device("meta"):
            name = fields.pop("name")
            own = [(20,)] if name in ("gru", "gcn") else parts  # tokens, features of a node
            assert isinstance(ppr.build(kind, name, *own, **fields), nn.Module)
