"""What contrastive training is measured by: geometry of embeddings, labels within labels, ReLU."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ppr
from ppr.data.dataset import Dataset, Split
from ppr.data.vision.digits import Digits
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed


def subject(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], **changes: Any) -> Subject:
    """One whose network's outputs are the given ones."""
    classes = tuple(str(c) for c in range(int(train[1].max()) + 1))
    shape = tuple(train[0].shape[1:])
    data = Dataset("given", Split(*train), None, Split(*test), shape, classes, (), (), "")
    parts: dict[str, Any] = {"encoder": nn.Identity(), "network": nn.Identity(), "dataset": data}
    return Subject(**{**parts, "device": torch.device("cpu"), "batch_size": 7, **changes})


def blobs(seed: int, sizes: tuple[int, ...] = (9, 6, 4, 2, 5), width: int = 6) -> Any:
    random = torch.Generator().manual_seed(seed)
    targets = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    targets = targets[torch.randperm(len(targets), generator=random)]
    centres = torch.randn(len(sizes), width, generator=torch.Generator().manual_seed(0))
    return centres[targets] + torch.randn(len(targets), width, generator=random), targets


def unit_rows(x: Tensor) -> list[list[float]]:
    return [[v / math.hypot(*row) for v in row] for row in x.double().tolist()]


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(p * q for p, q in zip(a, b, strict=True))


def mean_of(rows: list[list[float]]) -> list[float]:
    return [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]


def by_class(x: Tensor, targets: Tensor) -> list[list[list[float]]]:
    rows = unit_rows(x)
    names = range(int(targets.max()) + 1)
    return [[z for z, t in zip(rows, targets.tolist(), strict=True) if t == c] for c in names]


def measure(name: str, given: Subject) -> dict[str, float]:
    found: dict[str, float] = ppr.build("evaluator", name)(given)
    return found


def test_class_variance_is_its_definition() -> None:
    x, targets = blobs(1)
    metrics = measure("class_variance", subject(blobs(2), (x, targets)))
    groups = by_class(x, targets)
    centre = mean_of([z for group in groups for z in group])
    spreads = []
    for group in groups:
        own = mean_of(group)
        apart = [[p - q for p, q in zip(z, own, strict=True)] for z in group]
        spreads.append(math.fsum(dot(d, d) for d in apart) / len(group))
    assert metrics["within"] == pytest.approx(sum(spreads) / len(spreads), abs=1e-6)
    assert metrics["total"] == pytest.approx(1 - dot(centre, centre), abs=1e-6)
    assert metrics["between"] == pytest.approx(metrics["total"] - metrics["within"], abs=1e-12)


def test_collapsed_classes_have_no_variance_within() -> None:
    targets = torch.arange(4).repeat(3)
    collapsed = torch.eye(4)[targets] - 0.25
    metrics = measure("class_variance", subject((collapsed, targets), (collapsed, targets)))
    assert metrics["within"] == pytest.approx(0, abs=1e-7)
    assert metrics["total"] == pytest.approx(1, abs=1e-7)


def test_uniformity_and_tolerance_are_means_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    x, targets = blobs(3)
    given = subject(blobs(2), (x, targets))
    whole = measure("uniformity", given)
    rows, labels = unit_rows(x), targets.tolist()
    pairs = list(itertools.permutations(range(len(rows)), 2))
    near = [math.exp(-2 * math.dist(rows[i], rows[j]) ** 2) for i, j in pairs]
    assert whole["uniformity"] == pytest.approx(-math.log(math.fsum(near) / len(pairs)), abs=1e-6)
    alike = [dot(rows[i], rows[j]) for i, j in pairs if labels[i] == labels[j]]
    assert whole["tolerance"] == pytest.approx(math.fsum(alike) / len(alike), abs=1e-6)
    monkeypatch.setattr("ppr.evaluators.representation.uniformity.PAIRS_AT_ONCE", 60)
    assert measure("uniformity", given) == pytest.approx(whole)


def test_one_point_is_tolerant_and_not_uniform() -> None:
    same, targets = torch.ones(6, 3), torch.arange(6) % 2
    metrics = measure("uniformity", subject((same, targets), (same, targets)))
    assert metrics == pytest.approx({"uniformity": 0, "tolerance": 1})


def test_tolerance_needs_two_samples_of_a_class() -> None:
    lone = torch.eye(3), torch.arange(3)
    with pytest.raises(RunFailed, match="no class of the test split has two samples"):
        measure("uniformity", subject(lone, lone))


def test_class_means_are_their_definition() -> None:
    (x, targets), (z, labels) = blobs(4), blobs(5)
    metrics = measure("class_means", subject((x, targets), (z, labels)))
    groups = by_class(x, targets)
    means = [mean_of(group) for group in groups]
    count = len(means)
    gram = [[dot(a, b) for b in means] for a in means]
    size = math.sqrt(sum(g * g for row in gram for g in row))
    for name, off in (("frame", 0.0), ("simplex", -1 / count)):
        shape = [[off + (i == j) for j in range(count)] for i in range(count)]
        norm = math.sqrt(sum(s * s for row in shape for s in row))
        parts = [
            (gram[i][j] / size - shape[i][j] / norm) ** 2
            for i in range(count)
            for j in range(count)
        ]
        assert metrics[name] == pytest.approx(math.sqrt(sum(parts)), abs=1e-6)

    def cosine(a: list[float], b: list[float]) -> float:
        return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))

    def among(some: list[int]) -> float:
        found = [cosine(means[i], means[j]) for i, j in itertools.combinations(some, 2)]
        return sum(found) / len(found)

    order = sorted(range(count), key=lambda c: len(groups[c]))
    gap = among(order[: count // 2]) - among(order[count // 2 :])
    assert metrics["asymmetry"] == pytest.approx(abs(gap), abs=1e-6)
    shares: dict[int, list[bool]] = {}
    for row, label in zip(unit_rows(z), labels.tolist(), strict=True):
        nearest = max(range(count), key=lambda c: cosine(row, means[c]))
        shares.setdefault(label, []).append(nearest == label)
    hits = [hit for own in shares.values() for hit in own]
    assert metrics["top1"] == pytest.approx(sum(hits) / len(hits))
    balanced = sum(sum(own) / len(own) for own in shares.values()) / len(shares)
    assert metrics["balanced"] == pytest.approx(balanced)


@pytest.mark.parametrize(("name", "offset"), [("frame", 0.0), ("simplex", 0.25)])
def test_symmetric_class_means_have_distance_zero(name: str, offset: float) -> None:
    targets = torch.arange(4).repeat(2)
    embeddings = torch.eye(4)[targets] - offset, targets
    metrics = measure("class_means", subject(embeddings, embeddings))
    assert metrics[name] == pytest.approx(0, abs=1e-7)
    assert metrics["asymmetry"] == pytest.approx(0, abs=1e-7)
    assert metrics["top1"] == metrics["balanced"] == 1


def test_a_class_without_training_samples_has_no_mean() -> None:
    x, targets = blobs(1)
    gone = targets != 3
    with pytest.raises(RunFailed, match=r"evaluator\.class_means: a class has no training sample"):
        measure("class_means", subject((x[gone], targets[gone]), (x, targets)))


def test_embeddings_must_be_one_vector_a_sample() -> None:
    images = torch.rand(6, 2, 3), torch.arange(6) % 2
    with pytest.raises(RunFailed, match=r"needs outputs \[N, D\], the network made \[6, 2, 3\]"):
        measure("class_variance", subject(images, images))


def test_projection_head_may_end_in_a_relu() -> None:
    torch.manual_seed(0)
    plain = ppr.build("head", "projection", 6, 10, dim=8)
    relu = ppr.build("head", "projection", 6, 10, dim=8, relu=True)
    relu.load_state_dict(plain.state_dict())
    features = torch.randn(20, 6)
    assert torch.equal(relu(features), plain(features).clamp(min=0))
    assert (plain(features) < 0).any()


def test_a_dead_embedding_trains_no_worse_than_before() -> None:
    """All zeros after the ReLU: no direction, hence no gradient, and nothing infinite."""
    outputs = torch.randn(5, 2, 4).requires_grad_()
    with torch.no_grad():
        outputs[0] = -outputs[0].abs()
    loss = ppr.build("loss", "supcon")(outputs.relu(), torch.tensor([0, 0, 1, 1, 2]))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert gradient.isfinite().all()
    assert (gradient[0] == 0).all()


def test_parity_keeps_the_digit() -> None:
    digits, parity = Digits().load(), Digits(labels="parity").load()
    assert parity.classes == ("even", "odd")
    assert parity.digest != digits.digest
    assert parity.validation is not None
    for name in ("train", "validation", "test"):
        old, new = getattr(digits, name), getattr(parity, name)
        assert torch.equal(new.inputs, old.inputs)
        assert torch.equal(new.extra["digit"], old.targets)
        assert torch.equal(new.targets, old.targets % 2)
    assert set(Digits(labels="parity").synthetic(40).train.extra) == {"digit"}


def test_a_probe_of_the_digit_is_that_of_digits() -> None:
    fields = {"optimizer": "lbfgs", "weight_decay": 0.1, "labels_per_class": 10}
    found = []
    for labels, target in (("digit", None), ("parity", "digit")):
        data = Digits(labels=labels).load()
        given = subject(
            (data.train.inputs, data.train.targets),
            (data.test.inputs, data.test.targets),
            dataset=data,
            encoder=nn.Flatten(),
            transform=lambda images: images.float() / 255,
        )
        found.append(ppr.build("evaluator", "linear", target=target, **fields)(given))
    assert found[0] == found[1]
    assert set(found[0]) == {"top1", "top5", "nll"}


def test_a_probe_of_an_unknown_label_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"evaluator\.linear\.target=digits: the train split has"):
        ppr.build("evaluator", "linear", target="digits")(subject(blobs(1), blobs(2)))


def test_simple_contrastive_is_infonce_without_its_constant_at_high_temperatures() -> None:
    """t (L - log(2N-1)) -> -s_pos + mean of the others, the positive among them."""
    embeddings = torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(0)).double()
    infonce = ppr.build("loss", "ntxent", temperature=1e5)(embeddings)
    hot = 1e5 * (infonce - math.log(11))
    z = nn.functional.normalize(embeddings, dim=2)
    alike = (z[:, 0] * z[:, 1]).sum(1).mean()
    simple = ppr.build("loss", "simple_contrastive", weight=10 / 11)(embeddings)
    torch.testing.assert_close(simple, hot - alike / 11, rtol=0, atol=1e-4)
