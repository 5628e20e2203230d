"""SAM: its two gradients, alone and through the engine; the sharpness that it lowers."""

from __future__ import annotations

import json

import pytest
import torch
from subjects import make_subject
from torch import nn
from torch.nn import functional as F

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.launchers.execute import execute
from ppr.results import tree
from tests.killing import KilledAt

TINY = ["experiment=sam_digits", "engine.device=cpu", "engine.epochs=2", "engine.batch_size=50",
        "model.hidden=[16]", "evaluator.sharpness.iterations=2", "engine.evaluate_every=0",
        "engine.log_every=3", "engine.checkpoint_seconds=0"]  # fmt: skip


def trained(words: list[str], watcher: Watcher | None = None) -> dict[str, torch.Tensor]:
    config = compose([*TINY, *words])
    execute(config, watcher)
    return torch.load(config.folder / "model.pt", weights_only=True)


@pytest.mark.parametrize("rho", [0.05, 1.0])
def test_a_step_is_the_equation(rho: float) -> None:
    """Against softmax regression's gradient written out, with one norm over both parameters."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=random, dtype=torch.float64)
    y = F.one_hot(torch.arange(8) % 4).double()
    model = nn.Linear(3, 4).double()
    weight, bias = model.weight.detach().clone(), model.bias.detach().clone()

    def gradient(w: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        residual = ((x @ w.T + b).softmax(1) - y) / 8
        return residual.T @ x, residual.sum(0)

    g_w, g_b = gradient(weight, bias)
    length = (g_w.square().sum() + g_b.square().sum()).sqrt()
    g_w, g_b = gradient(weight + rho * g_w / length, bias + rho * g_b / length)
    optimizer = ppr.build("optimizer", "sam", model, lr=0.3, rho=rho, weight_decay=0.1)
    F.cross_entropy(model(x), y).backward()
    optimizer.ascend()
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.descend()
    assert torch.equal(model.weight, weight)
    optimizer.step()
    torch.testing.assert_close(model.weight.detach(), weight - 0.3 * (g_w + 0.1 * weight))
    torch.testing.assert_close(model.bias.detach(), bias - 0.3 * (g_b + 0.1 * bias))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-15, 1e15, 1e30])
def test_the_ascent_does_not_depend_on_the_gradients_length(length: float) -> None:
    """As a loss scale makes it: only its direction counts, and zero has none."""
    model = nn.Linear(2, 1, bias=False)
    start = model.weight.detach().clone()
    optimizer = ppr.build("optimizer", "sam", model, lr=0.1, rho=0.5)
    model.weight.grad = torch.tensor([[3.0, 4.0]]) * length
    optimizer.ascend()
    expected = torch.tensor([[0.3, 0.4]]) * (length > 0)
    torch.testing.assert_close(model.weight.detach() - start, expected, rtol=1e-5, atol=1e-6)


def test_rho_of_zero_is_sgd() -> None:
    sgd = trained(["experiment=sgd_digits"])
    sam = trained(["optimizer.rho=0"])
    assert all(torch.equal(sgd[key], sam[key]) for key in sgd)


def test_accumulated_parts_share_one_ascent() -> None:
    whole, parts = trained([]), trained(["engine.accumulate=5"])
    for key in whole:
        torch.testing.assert_close(parts[key], whole[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.03), ("fp16", 0.005)])
def test_mixed_precision_takes_the_same_way(precision: str, tolerance: float) -> None:
    """fp16 scales the loss by 65536; were e scaled too, the second gradient would be elsewhere."""
    fp32 = trained(["engine.precision=fp32"])
    mixed = trained([f"engine.precision={precision}"])
    for key in fp32:
        torch.testing.assert_close(mixed[key], fp32[key], rtol=0, atol=tolerance)


def test_overflow_in_fp16_skips_the_step_and_restores_the_weights() -> None:
    model = nn.Linear(2, 1, bias=False)
    start = model.weight.detach().clone()
    optimizer = ppr.build("optimizer", "sam", model, lr=0.1)
    scaler = torch.amp.GradScaler("cpu")

    def backward() -> None:
        optimizer.zero_grad()
        scaler.scale(model(torch.full((1, 2), 1e35)).sum()).backward()

    backward()
    optimizer.ascend()
    assert not torch.isfinite(model.weight).all()
    backward()
    optimizer.descend()
    scaler.step(optimizer)
    assert torch.equal(model.weight, start)


def test_a_killed_run_ends_with_the_same_bits(monkeypatch, tmp_path) -> None:
    whole = trained(["augment=digits"])
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        trained(["augment=digits"], KilledAt(9))
    resumed = trained(["augment=digits"])
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def test_sharpness_is_the_hessians_largest_eigenvalue() -> None:
    subject = make_subject()
    values = ppr.build("evaluator", "sharpness", iterations=1000, tolerance=1e-7)(subject)
    network = subject.classifying().eval()
    inputs, targets = (torch.cat(part) for part in zip(*subject.batches("train"), strict=True))
    names = [name for name, _ in network.named_parameters()]
    sizes = [p.numel() for p in network.parameters()]
    shapes = [p.shape for p in network.parameters()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = [x.view(s) for x, s in zip(flat.split(sizes), shapes, strict=True)]
        weights = dict(zip(names, parts, strict=True))
        return F.cross_entropy(torch.func.functional_call(network, weights, (inputs,)), targets)

    flat = torch.cat([p.detach().flatten() for p in network.parameters()])
    largest = torch.linalg.eigvalsh(torch.func.hessian(loss)(flat)).max().item()
    assert values["eigenvalue"] == pytest.approx(largest, rel=1e-3)
    assert values["loss"] == pytest.approx(loss(flat).item(), rel=1e-5)
    assert len(inputs) == len(subject.split("train"))


def test_the_quadratics_gradient_is_the_closed_form() -> None:
    config = compose(["experiment=sam_quadratic", "engine.device=cpu"])
    execute(config)
    values = json.loads((config.folder / tree.SUMMARY).read_text())["metrics"]["gradient"]
    assert values["error"] < 1e-12
    assert values["restored"] == 0
    assert values["gain"] > 0
