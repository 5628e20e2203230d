"""Every registered loss against loops over its paper's equation, from its file in tests."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

import ppr.losses
from ppr.errors import BadRequest
from ppr.losses import _partition
from ppr.registry import describe, names

Inputs = tuple[Tensor, ...]
TESTS = Path(__file__).parents[1]
HELPERS = ("__init__", "pairs", "vectors")


@dataclass(frozen=True)
class Case:
    """What a loss is called with, its reference, and field values to try."""

    batch: str
    reference: Callable[..., float]
    variations: tuple[dict[str, Any], ...]
    seen: tuple[Tensor, int] | None
    settle: Callable[[Any], None]


def _case(name: str, file: Path) -> Case:
    own = importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))
    seen, settle = getattr(own, "SEEN", None), getattr(own, "settle", lambda loss: None)
    batch = getattr(own, "BATCH", describe("loss", name).declared["family"][0])
    return Case(batch, own.reference, own.VARIATIONS, seen, settle)


CASES = {
    path.stem: _case(path.stem, path)
    for path in sorted(TESTS.rglob("losses/*.py"))
    if path.stem not in HELPERS
}


def _inputs(batch: str, samples: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    """A batch of a family, or another that a loss asks for; labels repeat and are unordered."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (samples,), generator=generator)
    if batch == "classification":
        return torch.randn(samples, 5, generator=generator, dtype=dtype), labels
    if batch == "multi-label":
        logits = torch.randn(samples, 5, generator=generator, dtype=dtype)
        return logits, (torch.rand(samples, 5, generator=generator) < 0.4).to(dtype)
    if batch == "contrastive":
        embeddings = torch.randn(samples, 2, 4, generator=generator, dtype=dtype)
        return embeddings, labels * 50 - 7
    if batch == "multi-view":  # as contrastive, but their length matters
        views = torch.randn(samples, 3, 4, generator=generator, dtype=dtype)
        return views, labels
    if batch == "indexed":
        embeddings = torch.randn(samples, 2, 4, generator=generator, dtype=dtype)
        return embeddings, labels, torch.randperm(7, generator=generator)[:samples]
    if batch == "two-tower":
        towers = torch.randn(2, samples, 4, generator=generator, dtype=dtype)
        return towers[0], towers[1]
    if batch == "distillation":
        student, teacher = torch.randn(2, samples, 5, generator=generator, dtype=dtype)
        return student, 2 * teacher, labels
    if batch == "sequence":
        outputs = torch.randn(samples, 4, 12, generator=generator, dtype=dtype)
        tokens = torch.randint(0, 12, (samples, 4), generator=generator)
        return outputs, tokens, torch.rand(samples, 4, generator=generator) < 0.7
    if batch == "fair":  # as it is and after an effort; target; group
        margins = torch.randn(samples, 2, 2, generator=generator, dtype=dtype)
        return margins, labels % 2, torch.randint(0, 2, (samples,), generator=generator)
    if batch == "ranking":  # cosines of an interaction's item, and of negatives
        cosines = 2 * torch.rand(samples, 5, generator=generator, dtype=dtype) - 1
        return cosines[:, 0], cosines[:, 1:]
    if batch == "generative":  # prediction, target, noise levels
        one, other = torch.randn(2, samples, 3, generator=generator, dtype=dtype)
        steps = 0.5 + torch.rand(samples, 2, generator=generator, dtype=dtype)
        return one, other, steps.cumsum(1)
    raise ValueError(f"write a batch of the family {batch!r}")


def _value_and_grad(
    loss: Callable[..., Tensor], first: Tensor, *rest: Any
) -> tuple[Tensor, Tensor]:
    first = first.detach().clone().requires_grad_()
    value = loss(first, *rest)
    (grad,) = torch.autograd.grad(value, first)
    return value.detach(), grad


def _rows() -> list[Any]:
    return [
        pytest.param(name, fields, id=f"{name}-{fields}")
        for name, case in CASES.items()
        for fields in case.variations
    ]


every_loss = pytest.mark.parametrize(("name", "fields"), _rows())
contrastive = pytest.mark.parametrize(
    ("name", "fields"), [row for row in _rows() if CASES[row.values[0]].batch == "contrastive"]
)


def build(kind: str, name: str, **fields: Any) -> Any:
    """A loss that has seen its training targets, if it looks at them."""
    loss = ppr.build(kind, name, **fields)
    if name in CASES and CASES[name].seen is not None:
        loss.see(*CASES[name].seen)
    if name in CASES:
        CASES[name].settle(loss.double())
    return loss


def test_every_registered_loss_has_a_row() -> None:
    assert sorted(CASES) == sorted(names("loss"))


@every_loss
@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 7), seed=st.integers(0, 2**31))
def test_equals_the_equation(name: str, fields: dict[str, Any], samples: int, seed: int) -> None:
    inputs = _inputs(CASES[name].batch, samples, seed)
    expected = CASES[name].reference(*(x.tolist() for x in inputs), **fields)
    assert build("loss", name, **fields)(*inputs).item() == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


@every_loss
def test_gradient(name: str, fields: dict[str, Any]) -> None:
    first, *rest = _inputs(CASES[name].batch, 6)
    loss = build("loss", name, **fields)
    assert torch.autograd.gradcheck(lambda x: loss(x, *rest), first.requires_grad_())


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_is_computed_in_float32(
    name: str, fields: dict[str, Any], dtype: torch.dtype
) -> None:
    inputs = _inputs(CASES[name].batch, 6)
    first, *rest = (x.to(dtype) if x.is_floating_point() else x for x in inputs)
    wide = (x.double() if x.is_floating_point() else x for x in rest)
    loss = build("loss", name, **fields).float()
    value, grad = _value_and_grad(loss, first, *rest)
    exact, exact_grad = _value_and_grad(loss.double(), first.double(), *wide)
    assert (value.dtype, grad.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)
    scale = exact_grad.abs().max().item()
    rounding = max(torch.finfo(dtype).eps, 1e-5)
    torch.testing.assert_close(grad.double(), exact_grad, rtol=rounding, atol=rounding * scale)


@every_loss
def test_autocast_changes_nothing(name: str, fields: dict[str, Any]) -> None:
    inputs = _inputs(CASES[name].batch, 6, dtype=torch.float32)
    loss = build("loss", name, **fields).float()
    plain = _value_and_grad(loss, *inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = _value_and_grad(loss, *inputs)
    torch.testing.assert_close(cast, plain, rtol=0, atol=0)


@every_loss
@pytest.mark.parametrize("samples", [0, 1])
def test_empty_and_single_sample_batches(name: str, fields: dict[str, Any], samples: int) -> None:
    inputs = _inputs(CASES[name].batch, samples)
    value, grad = _value_and_grad(build("loss", name, **fields), *inputs)
    expected = CASES[name].reference(*(x.tolist() for x in inputs), **fields)
    assert value.item() == pytest.approx(expected, abs=1e-9)
    assert grad.shape == inputs[0].shape
    assert grad.isfinite().all()


@every_loss
def test_one_class_and_duplicates(name: str, fields: dict[str, Any]) -> None:
    first, labels, *rest = _inputs(CASES[name].batch, 5)
    first[1:3] = first[0]
    labels = torch.full_like(labels, 2)
    value, grad = _value_and_grad(build("loss", name, **fields), first, labels, *rest)
    lists = (x.tolist() for x in (first, labels, *rest))
    expected = CASES[name].reference(*lists, **fields)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    assert grad.isfinite().all()


@every_loss
def test_stays_on_its_device(name: str, fields: dict[str, Any]) -> None:
    """The meta device refuses to mix with a tensor made on the CPU, and allows no `.item()`."""
    first, *rest = (x.to("meta") for x in _inputs(CASES[name].batch, 6))
    value, grad = _value_and_grad(build("loss", name, **fields).to("meta"), first, *rest)
    assert value.device.type == grad.device.type == "meta"
    assert (value.shape, grad.shape) == ((), first.shape)


@contrastive
def test_contrastive_in_strips_is_the_same(
    name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = _inputs("contrastive", 6)
    loss = build("loss", name, **fields)
    whole = _value_and_grad(loss, *inputs)
    monkeypatch.setattr(_partition, "MIN_ROWS", 5)
    monkeypatch.setattr(_partition, "STRIP_ELEMENTS", {"cpu": 1})
    torch.testing.assert_close(_value_and_grad(loss, *inputs), whole)


@contrastive
def test_contrastive_ignores_order_names_and_scale(name: str, fields: dict[str, Any]) -> None:
    embeddings, labels = _inputs("contrastive", 7)
    loss = build("loss", name, **fields)
    value = loss(embeddings, labels)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss(embeddings[order], labels[order]), value)
    torch.testing.assert_close(loss(embeddings.flip(1), 11 - 3 * labels), value)
    torch.testing.assert_close(loss(embeddings * torch.rand(7, 2, 1).double(), labels), value)


@pytest.mark.parametrize(
    ("name", "fields"), [row for row in contrastive.args[1] if row.values[0] != "supcl"]
)  # where a view counts as its own positive, there is always one
def test_contrastive_without_a_positive_is_zero(name: str, fields: dict[str, Any]) -> None:
    embeddings, _ = _inputs("contrastive", 4)
    value, grad = _value_and_grad(build("loss", name, **fields), embeddings[:, 0], torch.arange(4))
    assert value.item() == 0
    assert (grad == 0).all()


@contrastive
def test_contrastive_refuses_wrong_shapes(name: str, fields: dict[str, Any]) -> None:
    loss = build("loss", name, **fields)
    with pytest.raises(ValueError, match="expected \\[N, V, D\\] or \\[N, D\\]"):
        loss(torch.ones(3), torch.arange(3))


def test_supcon_refuses_labels_per_view() -> None:
    with pytest.raises(ValueError, match="one per sample"):
        build("loss", "supcon")(torch.randn(3, 2, 4), torch.arange(6))


def test_supcon_of_lone_samples_is_ntxent() -> None:
    embeddings, _ = _inputs("contrastive", 6)
    lone, simclr = build("loss", "supcon", temperature=0.5), build("loss", "ntxent")
    for labels in (None, torch.tensor([5, 3, 9, -1, 0, 7])):
        torch.testing.assert_close(lone(embeddings, labels), simclr(embeddings))


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(2, 8), seed=st.integers(0, 2**31))
def test_supcon_in_is_at_most_out(samples: int, seed: int) -> None:
    """Jensen's inequality, arXiv:2004.11362 section 3.2.2."""
    inputs = _inputs("contrastive", samples, seed)
    inner, outer = (build("loss", "supcon", variant=v)(*inputs) for v in ("in", "out"))
    assert inner <= outer + 1e-12


def test_supcon_of_zero_embeddings_is_finite() -> None:
    """A dead unit's zero vector has no direction: similarity 0 with all, and nothing infinite."""
    embeddings, labels = _inputs("contrastive", 5)
    embeddings[0] = 0
    value, grad = _value_and_grad(build("loss", "supcon"), embeddings, labels)
    assert value.isfinite()
    assert grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "fields"), [row for row in _rows() if row.values[0] in ("apl", "focal", "gce")]
)
def test_loss_of_class_probabilities_is_linear_in_them(name: str, fields: dict[str, Any]) -> None:
    """A mixture of targets costs the mixture of their losses; one-hot rows are integers."""
    logits, labels = _inputs("classification", 6)
    loss = build("loss", name, **{k: v for k, v in fields.items() if k != "per"})
    one_hot, other = (torch.eye(5)[x] for x in (labels, labels.flip(0)))
    whole = loss(logits, labels)
    torch.testing.assert_close(loss(logits, one_hot), whole)
    mixed = loss(logits, 0.3 * one_hot + 0.7 * other)
    torch.testing.assert_close(mixed, 0.3 * whole + 0.7 * loss(logits, labels.flip(0)))


def test_focal_of_two_classes_is_torchvisions_sigmoid_focal_loss() -> None:
    logits = 3 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.arange(40) % 5 % 2
    theirs = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.double(), reduction="sum")
    ours = build("loss", "focal", per="foreground")(logits, labels)
    torch.testing.assert_close(ours, theirs / labels.sum())
    alone = build("loss", "focal", per="foreground")(logits, labels * 0)
    background = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels * 0.0, reduction="sum")
    torch.testing.assert_close(alone, background)


@pytest.mark.parametrize("margin", [0.0, 20.0, 100.0, 1e4])
@pytest.mark.parametrize(
    ("name", "fields"),
    [("focal", {"gamma": 0.5}), ("apl", {"active": "nfl"}), ("gce", {}), ("ohem", {})],
)
def test_certain_predictions_have_finite_gradients(
    name: str, fields: dict[str, Any], margin: float
) -> None:
    """(1 - p)^0.5 has an infinite slope at p = 1, which must not meet a zero."""
    for sign in (1, -1):
        logits = torch.tensor([[sign * margin, 0.0, -margin]])
        value, grad = _value_and_grad(build("loss", name, **fields), logits, torch.tensor([0]))
        assert value.isfinite()
        assert grad.isfinite().all()


def test_gce_is_between_cross_entropy_and_mae() -> None:
    logits, labels = _inputs("classification", 6)
    mae = build("loss", "apl", active=None, passive="mae")(logits, labels)
    torch.testing.assert_close(build("loss", "gce", q=1.0)(logits, labels), mae)
    cross_entropy = build("loss", "cross_entropy")(logits, labels)
    near = build("loss", "gce", q=1e-6)(logits, labels)
    torch.testing.assert_close(near, cross_entropy, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("gce", {"q": 0.0}, "loss.q=0"),
        ("apl", {"active": None, "passive": None}, "loss.active=null"),
    ],
)
def test_refuses_fields_that_leave_no_loss(name: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        build("loss", name, **fields)


def test_losses_import_alone_by_name_and_lazily() -> None:
    assert dir(ppr.losses) == sorted(describe("loss", name).symbol for name in names("loss"))
    assert ppr.losses.SupConLoss is type(build("loss", "supcon"))
    with pytest.raises(AttributeError, match="did you mean 'SupConLoss'"):
        _ = ppr.losses.SupCanLoss
    code = "import sys, ppr.losses; dir(ppr.losses); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


CUT = ("classification", "multi-label", "distillation")
"""Families whose tasks let engine.accumulate cut a batch."""


@pytest.mark.parametrize(
    ("name", "fields"), [row for row in _rows() if CASES[row.values[0]].batch in CUT]
)
def test_a_loss_that_is_no_mean_over_samples_says_so(name: str, fields: dict[str, Any]) -> None:
    """What engine.accumulate asks: whether equal parts have, on average, the whole's gradient."""
    first, *rest = _inputs(CASES[name].batch, 60)
    loss = build("loss", name, **fields)
    if hasattr(loss, "advance"):
        loss.advance(0.99)
    _, whole = _value_and_grad(loss, first, *rest)
    cuts = zip(*(x.chunk(4) for x in (first, *rest)), strict=True)
    parts = torch.cat([_value_and_grad(loss, *cut)[1] for cut in cuts]) / 4
    is_mean = bool((parts - whole).norm() < 1e-9 * whole.norm())
    assert is_mean != getattr(loss, "batch_wide", False)
