"""Optimizers against the equations of their docstrings, in float64 and parameter by parameter."""

from __future__ import annotations

import copy
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import ppr
from ppr import registry
from ppr.errors import BadRequest
from ppr.optimizers.muon import COEFFICIENTS, newton_schulz
from ppr.optimizers.norms import largest, norms, total_norm

CONFIGS = Path(__file__).parents[2] / "configs"
STEPS = 4


def sgd(name, w, grads, *, lr, momentum, weight_decay, decays, nesterov=False):
    v = np.zeros_like(w)
    for g in grads:
        d = g + weight_decay * decays(w) * w
        v = momentum * v + d
        w = w - lr * (d + momentum * v if nesterov else v)
    return w


def sam(name, w, grads, *, rho, **fields):
    """The gradients being given, rho has no part in the step: test_sam.py has the ascent."""
    return sgd(name, w, grads, **fields)


def adamw(name, w, grads, *, lr, weight_decay, decays, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w * (1 - lr * weight_decay * decays(w))
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


def adam(name, w, grads, *, lr, weight_decay, decays, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        slope = g + weight_decay * decays(w) * w
        m = beta1 * m + (1 - beta1) * slope
        v = beta2 * v + (1 - beta2) * slope**2
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


def radam(name, w, grads, *, lr, weight_decay, decays, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    longest = 2 / (1 - beta2) - 1
    for t, g in enumerate(grads, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w * (1 - lr * weight_decay * decays(w))
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        step = m / (1 - beta1**t)
        if length > 5:
            cut = (length - 4) * (length - 2) * longest
            cut = (cut / ((longest - 4) * (longest - 2) * length)) ** 0.5
            step = step * cut * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
        w = w - lr * step
    return w


def lars(name, w, grads, *, lr, momentum, weight_decay, trust, decays):
    v = np.zeros_like(w)
    for g in grads:
        d = g + weight_decay * decays(w) * w
        q = 1.0
        if decays(w) and np.linalg.norm(w) > 0 and np.linalg.norm(d) > 0:
            q = trust * np.linalg.norm(w) / np.linalg.norm(d)
        v = momentum * v + lr * q * d
        w = w - v
    return w


def orthogonalised(matrix, iterations=5):
    """The iteration on singular values alone, each s to a s + b s^3 + c s^5."""
    a, b, c = COEFFICIENTS
    U, s, V = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(iterations):
        s = a * s + b * s**3 + c * s**5
    return U * s @ V


def muon(name, w, grads, *, lr, momentum, weight_decay, adamw_lr, decays):
    if name not in HIDDEN:
        other = {"lr": adamw_lr, "weight_decay": weight_decay, "decays": decays}
        return adamw(name, w, grads, **other, beta2=0.95, eps=1e-10)
    buffer = np.zeros_like(w)
    for g in grads:
        buffer = momentum * buffer + (1 - momentum) * g
        update = (1 - momentum) * g + momentum * buffer
        matrix = update.reshape(len(w), -1)
        rows, columns = matrix.shape
        scale = max(1, rows / columns) ** 0.5
        w = w * (1 - lr * weight_decay)
        w = w - lr * scale * orthogonalised(matrix).reshape(w.shape)
    return w


# component: (fields, loop, relative tolerance of the update)
OPTIMIZERS = {
    "sgd": ({"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}, sgd, 1e-9),
    "sam": ({"lr": 0.1, "rho": 0.2, "momentum": 0.9, "weight_decay": 0.05}, sam, 1e-9),
    "adam": ({"lr": 0.01, "weight_decay": 0.1}, adam, 1e-9),
    "adamw": ({"lr": 0.01, "weight_decay": 0.1}, adamw, 1e-9),
    "radam": ({"lr": 0.01, "weight_decay": 0.1}, radam, 1e-9),
    "lars": ({"lr": 3.0, "momentum": 0.8, "weight_decay": 0.1, "trust": 0.02}, lars, 1e-9),
    # Newton-Schulz runs in bfloat16, whose rounding is 2^-9.
    "muon": ({"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "adamw_lr": 0.01}, muon, 0.03),
}
HIDDEN = ("2.weight", "6.weight")  # the second convolution and the first linear layer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 24, 1), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 6), nn.Tanh(), nn.Linear(6, 3)]
    model = nn.Sequential(*layers).double()
    nn.init.zeros_(model[8].weight)  # a layer of zeros has no norm to scale by
    return model


def gradients(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.grad = values.to(parameter.dtype)


def advance(model, optimizer, steps) -> None:
    for step in steps:
        gradients(model, step)
        optimizer.step()


def test_every_component_has_a_row():
    elsewhere = {"continual_backprop"}  # looks at a network's activity: test_continual.py
    assert set(registry.names("optimizer")) == {*OPTIMIZERS, *elsewhere}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("decay_norm_and_bias", [True, False])
def test_optimizer_is_its_equation(name, decay_norm_and_bias):
    fields, loop, tolerance = OPTIMIZERS[name]
    model = network()
    start = {key: value.detach().numpy().copy() for key, value in model.named_parameters()}
    grads = {key: [] for key in start}
    for step in range(STEPS):
        gradients(model, step)
        for key, parameter in model.named_parameters():
            grads[key].append(parameter.grad.numpy())
    optimizer = ppr.build(
        "optimizer", name, model, **fields, decay_norm_and_bias=decay_norm_and_bias
    )
    advance(model, optimizer, range(STEPS))
    for key, parameter in model.named_parameters():
        expected = loop(
            key,
            start[key],
            grads[key],
            decays=lambda w: float(decay_norm_and_bias or w.ndim > 1),
            **fields,
        )
        error = np.linalg.norm(parameter.detach().numpy() - expected)
        assert error <= tolerance * np.linalg.norm(expected - start[key]), key


def test_radam_begins_to_adapt_its_rate():
    """From the sixth step on, which the steps of the test above do not reach."""
    weight = torch.full((1, 2), 2.0, dtype=torch.float64)
    model = nn.ParameterList([weight.clone()])
    optimizer = ppr.build("optimizer", "radam", model, lr=0.1)
    grads = [np.array([[1.0 + t, -0.3 * t]]) for t in range(9)]
    for count, grad in enumerate(grads, start=1):
        model[0].grad = torch.from_numpy(grad)
        optimizer.step()
        fields = {"lr": 0.1, "weight_decay": 0.0, "decays": lambda w: 0.0}
        expected = radam("", weight.numpy(), grads[:count], **fields)
        np.testing.assert_allclose(model[0].detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_saved_and_loaded_equals_uninterrupted(name):
    fields = OPTIMIZERS[name][0]
    straight = network().float()
    optimizer = ppr.build("optimizer", name, straight, **fields)
    advance(straight, optimizer, range(3))
    file = io.BytesIO()
    torch.save({"model": straight.state_dict(), "optimizer": optimizer.state_dict()}, file)
    advance(straight, optimizer, range(3, 6))

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = network().float()
    second = ppr.build("optimizer", name, resumed, **fields)
    resumed.load_state_dict(saved["model"])
    second.load_state_dict(saved["optimizer"])
    advance(resumed, second, range(3, 6))
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_trainable_parameter_is_in_one_group(name):
    model = network()
    model[6].bias.requires_grad_(False)
    for decay_norm_and_bias in (True, False):
        optimizer = ppr.build(
            "optimizer",
            name,
            model,
            **OPTIMIZERS[name][0],
            decay_norm_and_bias=decay_norm_and_bias,
        )
        held = [p for group in optimizer.param_groups for p in group["params"]]
        trained = [p for p in model.parameters() if p.requires_grad]
        assert sorted(map(id, held)) == sorted(map(id, trained))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_learning_rate_of_zero_changes_nothing(name):
    model = network()
    optimizer = ppr.build("optimizer", name, model, **OPTIMIZERS[name][0])
    advance(model, optimizer, range(2))
    optimizer.load_state_dict(optimizer.state_dict())
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    if name == "lars":  # its momentum holds steps, with their learning rates in them
        optimizer.state.clear()
    advance(model, optimizer, range(2, 4))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_without_gradient_are_left_alone(name):
    model = network()
    optimizer = ppr.build("optimizer", name, model, **OPTIMIZERS[name][0])
    before = copy.deepcopy(model.state_dict())
    optimizer.zero_grad()
    optimizer.step()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_meta_device(name):
    model = network().to("meta")
    optimizer = ppr.build("optimizer", name, model, **OPTIMIZERS[name][0])
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    optimizer.step()
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_closure_is_called_with_gradients_on(name):
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    optimizer = ppr.build("optimizer", name, model, **{**OPTIMIZERS[name][0], "lr": 0.01})

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(3)]
    assert losses[2] < losses[0]


@pytest.mark.parametrize("scale", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(8, 24), (24, 8)])
def test_muon_is_its_equations_on_a_matrix(shape, scale):
    """In float64 by singular values: the quintic maps each of them, bf16 costs some percent."""
    rows, columns = shape
    layers = [nn.Linear(3, columns), nn.Linear(columns, rows), nn.Linear(rows, 3)]
    model = nn.Sequential(*layers)
    ours = ppr.build("optimizer", "muon", model, scale=scale)
    rms = 0.2 * max(rows, columns) ** 0.5
    factor = max(1, rows / columns) ** 0.5 if scale == "original" else rms
    weight, momentum = model[1].weight.detach().double(), torch.zeros(shape).double()
    for step in range(3):
        gradients(model, step)
        gradient = model[1].weight.grad.double()
        momentum = 0.95 * momentum + 0.05 * gradient
        left, values, right = torch.linalg.svd(
            0.05 * gradient + 0.95 * momentum, full_matrices=False
        )
        values = values / values.square().sum().sqrt()
        for _ in range(5):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        moved = 0.02 * factor * left @ values.diag() @ right
        weight = weight * (1 - 0.02 * 0.01) - moved
        ours.step()
        assert (model[1].weight - weight).norm() < 0.05 * moved.norm()
        weight = model[1].weight.detach().double()


def test_newton_schulz_brings_singular_values_near_one():
    values = torch.linalg.svdvals(newton_schulz(torch.randn(32, 80), 5).float())
    assert 0.5 < values.min() < values.max() < 1.5


def test_bad_requests():
    with pytest.raises(BadRequest, match="nesterov"):
        ppr.build("optimizer", "sgd", network(), lr=0.1, momentum=0.0, nesterov=True)
    with pytest.raises(BadRequest, match="use adamw"):
        ppr.build("optimizer", "muon", nn.Linear(3, 3))
    with pytest.raises(BadRequest, match="greater than 0"):
        ppr.build("optimizer", "adamw", network(), lr=0.0)


def test_presets_build():
    presets = sorted((CONFIGS / "optimizer").rglob("*.yaml"))
    assert presets
    for preset in presets:
        fields = yaml.safe_load(preset.read_text())
        optimizer = ppr.build("optimizer", fields.pop("name"), network(), **fields)
        assert isinstance(optimizer, torch.optim.Optimizer)


# --- lengths whose squares float32 cannot hold ------------------------------------------------

LENGTHS = [0.0, 1e-40, 1e-25, 1e-12, 1.0, 1e12, 1e25, 5e37]


@pytest.mark.parametrize("length", LENGTHS)
def test_norms_are_those_of_float64(length):
    parts = [torch.tensor([3.0, -4.0]) * length, torch.full((2, 2), length), torch.zeros(3)]
    wide = [part.double() for part in parts]
    expected = torch.stack([part.norm() for part in wide]).float()
    torch.testing.assert_close(norms(parts), expected, rtol=1e-6, atol=2e-45)
    whole = torch.cat([part.flatten() for part in wide]).norm().float()
    torch.testing.assert_close(total_norm(parts), whole, rtol=1e-6, atol=2e-45)


def test_norms_have_torchs_bits_where_torch_is_right():
    parts = [torch.randn(7, 5, generator=torch.Generator().manual_seed(n)) for n in range(9)]
    assert torch.equal(norms(parts), torch.stack([part.norm() for part in parts]))
    assert torch.equal(total_norm(parts), nn.utils.get_total_norm(parts))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norms_hide_nothing_that_is_not_finite(bad):
    parts = [torch.ones(3), torch.tensor([1.0, bad])]
    assert norms(parts).isfinite().tolist() == [True, False]
    assert not total_norm(parts).isfinite()
    assert largest(parts).isfinite().tolist() == [True, False]


@pytest.mark.parametrize("length", [1e-25, 1e-12, 1.0, 1e12, 1e25])
def test_lars_steps_are_as_long_as_the_weights_say_whatever_the_gradients_length(length):
    layer = nn.Linear(2, 2, bias=False)
    nn.init.eye_(layer.weight)
    start = layer.weight.detach().clone()
    fields = {"lr": 2.0, "trust": 0.01, "momentum": 0.0, "weight_decay": 0.0}
    optimizer = ppr.build("optimizer", "lars", layer, **fields)
    layer.weight.grad = torch.tensor([[3.0, 0.0], [0.0, 4.0]]) * length
    optimizer.step()
    moved = (start - layer.weight).detach()
    expected = torch.tensor([[0.6, 0.0], [0.0, 0.8]]) * 2.0 * 0.01 * 2**0.5
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("length", [1.0, 1e25])
def test_muon_takes_the_direction_of_a_gradient_of_any_length(length):
    update = newton_schulz(torch.tensor([[3.0, 0.0], [0.0, 4.0]]) * length, 5)
    torch.testing.assert_close(update.float().diagonal(), torch.ones(2), rtol=0, atol=0.35)
