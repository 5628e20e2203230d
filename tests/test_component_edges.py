"""Components at the ends of their ranges: ties, saturation, masks, bounds, degenerate images."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from ppr import build
from ppr.augment import ops
from ppr.config.compose import compose
from ppr.config.fit import fitting
from ppr.decoding.truncation import keep, truncate
from ppr.errors import BadRequest
from ppr.evaluators.classification.accuracy import top_accuracies
from ppr.evaluators.recommendation._ranking import ndcg, recall
from ppr.losses._batch import rounded_up
from ppr.optimizers.groups import decay_groups
from tests.subjects import of_tensors

CE = "experiment=ce_digits"
REFUSED = {
    "optimizer.beta1=1": "less than 1",
    "optimizer.beta2=1.0": "less than 1",
    "optimizer=sgd optimizer.lr=1 optimizer.momentum=1": "less than 1",
    "optimizer=radam optimizer.beta1=1": "less than 1",
    "optimizer=muon optimizer.adamw_beta2=1": "less than 1",
    "optimizer=lars optimizer.lr=1 optimizer.momentum=1": "less than 1",
    "engine.ema_decay=1": "less than 1",
    "optimizer.lr=inf": "finite",
    "optimizer.lr=nan": "greater than 0",
    "engine.clip_norm=inf": "finite",
    "engine.resident_gb=inf": "finite",
    "loss.label_smoothing=nan": "less than or equal|greater than or equal",
    f"seed={2**63}": "64 bits",
    f"seed={-(2**64)}": "64 bits",
    f"engine.epochs={10**20}": "64 bits",
    f"model=mlp model.hidden=[{10**20}]": "64 bits",
}


@pytest.mark.parametrize("words", REFUSED)
def test_values_beyond_their_field_are_refused(words: str) -> None:
    with pytest.raises(BadRequest, match=REFUSED[words]):
        compose([CE, *words.split()])


def test_a_whole_number_is_a_float_where_the_field_is_one() -> None:
    whole, decimal = (compose([CE, f"optimizer.beta1={x}"]) for x in ("0", "0.0"))
    assert isinstance(whole["optimizer"]["beta1"], float)
    assert whole.run_id == decimal.run_id
    parameter = nn.Linear(2, 2)
    for name, lr in (("adamw", 1), ("radam", 1)):
        optimizer = build("optimizer", name, parameter, lr=lr, beta1=0, beta2=0)
        F.mse_loss(parameter(torch.ones(1, 2)), torch.ones(1, 2)).backward()
        optimizer.step()
    assert compose([CE, f"seed={2**63 - 1}"]).seed == 2**63 - 1


def test_single_numbers_are_never_decayed() -> None:
    model = nn.ModuleList([nn.Linear(2, 2), build("loss", "siglip", learnable=True)])
    plain, free = decay_groups(model.parameters(), 0.1, decay_norm_and_bias=True)
    assert {id(p) for p in free["params"]} == {id(p) for p in model[1].parameters()}
    assert {id(p) for p in plain["params"]} == {id(p) for p in model[0].parameters()}
    assert (plain["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert len(decay_groups(model[0].parameters(), 0.1, decay_norm_and_bias=True)) == 1


@pytest.mark.parametrize(
    ("name", "beyond", "highest"),
    [("infonce", {"temperature": 0.009}, 0.01), ("siglip", {"temperature": 101}, 100.0)],
)
def test_a_learnt_temperature_is_bounded_and_logged(
    name: str, beyond: dict[str, float], highest: float
) -> None:
    with pytest.raises(BadRequest, match="loss.temperature"):
        build("loss", name, learnable=True, **beyond)
    loss = build("loss", name, learnable=True)
    with torch.no_grad():
        next(iter(loss.parameters())).fill_(89.0)
    loss.bound()
    assert loss.learnt()["temperature"].item() == pytest.approx(highest, rel=1e-5)
    a, b = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    assert loss(a, b).isfinite()
    before = [p.clone() for p in build("loss", name, learnable=True).parameters()]
    within = build("loss", name, learnable=True)
    within.bound()
    assert all(map(torch.equal, before, within.parameters()))
    assert build("loss", name).learnt() == {}


SEQUENCE = fitting("loss", family=("sequence",))


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", SEQUENCE)
def test_masked_positions_are_left_out(name: str, spoilt: float) -> None:
    random = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 4, 12, generator=random).double()
    targets = torch.randint(0, 12, (3, 4), generator=random)
    mask = torch.rand(3, 4, generator=random) < 0.6
    loss = build("loss", name)
    expected = loss(outputs, targets, mask)
    spoilt_outputs = outputs.masked_fill(~mask[..., None], spoilt).requires_grad_()
    value = loss(spoilt_outputs, targets.masked_fill(~mask, -100), mask)
    assert value.item() == expected.item()
    (grad,) = torch.autograd.grad(value, spoilt_outputs)
    assert grad.isfinite().all()
    assert (grad[~mask] == 0).all()
    if name == "next_token":
        ignored = targets.masked_fill(~mask, -100).flatten()
        theirs = F.cross_entropy(outputs.flatten(0, 1), ignored, ignore_index=-100)
        torch.testing.assert_close(value, theirs)


def test_a_share_is_rounded_up_as_it_is_written() -> None:
    for hundredths, count in itertools.product(range(1, 101), (1, 7, 50, 100, 300)):
        assert rounded_up(hundredths / 100, count) == -(-hundredths * count // 100)
    logits = torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(100) % 5
    each = F.cross_entropy(logits, labels, reduction="none").sort(descending=True).values
    torch.testing.assert_close(build("loss", "ohem", keep=0.07)(logits, labels), each[:7].mean())


def _log_softplus(z: float) -> float:
    return z if z < -40 else math.log(math.log1p(math.exp(z)))


@pytest.mark.parametrize("shift", [0.0, -40.0, -60.0, -300.0, -3000.0])
def test_ldr_of_softplus_does_not_underflow(shift: float) -> None:
    logits = torch.tensor([[0.0, -1.0, 2.0], [1.0, 0.0, -3.0]]) + shift
    labels, loss = torch.tensor([0, 2]), build("loss", "ldr")
    # softplus over its mean, by logarithms
    log_f = [[_log_softplus(z) for z in row] for row in logits.double().tolist()]
    f = torch.tensor([[3 / sum(math.exp(b - a) for b in row) for a in row] for row in log_f])
    expected = build("loss", "ldr", scores="logits")(f, labels)
    logits.requires_grad_()
    value = loss(logits, labels)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_diet_takes_float64() -> None:
    loss = build("loss", "diet_ssl", features=3)
    loss.see(torch.arange(4), 4)
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    single, double = (loss(v, None, torch.tensor([0, 3])) for v in (x, x.double()))
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single)


def test_ties_in_a_ranking_are_the_mean_over_orders() -> None:
    scores = torch.tensor([3.0, 2.0, 2.0, 2.0, 1.0, 1.0, -torch.inf])
    relevant = torch.tensor([False, True, False, True, False, True, False])
    k, found = 4, []
    for order in itertools.permutations(range(7)):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            hits = [bool(relevant[i]) for i in order[:k]]
            gain = sum(h / math.log2(r + 2) for r, h in enumerate(hits))
            found.append((gain / sum(1 / math.log2(r + 2) for r in range(3)), sum(hits) / 3))
    right = np.mean(found, axis=0)
    for moved in (torch.arange(7), torch.arange(6, -1, -1), torch.randperm(7)):
        s, r = scores[moved][None], relevant[moved][None]
        assert ndcg(s, r, k).item() == pytest.approx(right[0])
        assert recall(s, r, k).item() == pytest.approx(right[1])
    equal, some = torch.zeros(1, 1000), (torch.arange(1000) < 20)[None]
    assert recall(equal, some, 20).item() == pytest.approx(0.02)
    assert ndcg(equal, some, 20).item() == pytest.approx(0.02)


def test_top_accuracies_of_equal_scores_are_the_mean_over_orders() -> None:
    scores = torch.tensor([[2.0, 1, 1, 1, 0, 0, 0]] * 3)
    found = top_accuracies(scores, torch.tensor([0, 2, 4]))
    assert found["top1"] == pytest.approx(1 / 3)
    assert found["top5"] == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_knn_of_a_small_temperature_drops_no_vote() -> None:
    """Seven points on a quarter circle: the sixth neighbour's vote is e^-60 of the first's."""
    angles = torch.linspace(0, math.pi / 2, 7)
    bank = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    queries = torch.stack([(angles - 0.05).cos(), (angles - 0.05).sin()], dim=1)
    subject = of_tensors((bank, labels), (queries, labels))
    found = build("evaluator", "knn", k=6, temperature=0.01)(subject)
    cosines = queries.double() @ bank.double().T
    ranked = cosines.argsort(1, descending=True)[:, :5]
    assert found["top5"] == pytest.approx((ranked == labels[:, None]).any(1).double().mean().item())
    theirs = KNeighborsClassifier(6, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.01))
    right = theirs.fit(bank.double().numpy(), labels).score(queries.double().numpy(), labels)
    assert found["top1"] == pytest.approx(right)


MARGINS = torch.tensor([60.0, 50, 45, 40, 38, 37.5])


def _two_classes(margins: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(margins), margins], dim=1)


def test_large_margins_are_no_ties() -> None:
    target = (MARGINS > 42).long()
    subject = of_tensors((_two_classes(MARGINS), target), (_two_classes(MARGINS), target))
    assert build("evaluator", "average_precision")(subject)["ap"] == 1.0
    # The guess is always 1: wrong where the margin is least.
    errors = np.cumsum([0, 0, 0, 1, 1, 1]) / np.arange(1, 7)
    assert build("evaluator", "aurc")(subject)["aurc"] == pytest.approx(errors.mean())
    logits, labels = torch.tensor([[60.0, 45], [50, 40]]), torch.tensor([[1.0, 1], [1, 0]])
    subject = of_tensors((logits, torch.tensor([0, 1])), (logits, labels))
    found = build("evaluator", "multilabel")(subject)
    assert found["map"] == 1.0
    theirs = average_precision_score([1, 1, 1, 0], [60, 45, 50, 40])
    assert found["micro_ap"] == pytest.approx(theirs)


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (8, 1), (2, 2), (3, 1), (2, 5)])
def test_blur_keeps_a_white_image_white(shape: tuple[int, int]) -> None:
    white = torch.ones(2, 1, *shape)
    for kernel in (3, 5, 9):
        blurred = ops.gaussian_blur(white, torch.tensor([1.0, 0.3]), kernel)
        torch.testing.assert_close(blurred, white)


@pytest.mark.parametrize("reach", [8, 40, 100])
@pytest.mark.parametrize("field", ["cutout", "padding"])
def test_what_erases_an_image_is_refused(field: str, reach: int) -> None:
    with pytest.raises(BadRequest, match="all of an image of 8x8; allowed: below 8"):
        build("augment", "crop_flip", (1, 8, 8), (0.5,), (0.5,), **{field: reach})


def test_truncation_at_its_ends() -> None:
    random = torch.Generator().manual_seed(0)
    p = torch.randn(200, 500, generator=random).softmax(1)
    assert keep(p, "top_h", 1.0).all()
    alone = truncate(p, "min_p", 1.5)
    assert torch.equal(alone, F.one_hot(p.argmax(1), 500).float())
