"""Each evaluator against an independent computation, and what all of them must keep."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_accuracy

import ppr
from ppr import registry
from ppr.data.dataset import Dataset, Split
from ppr.errors import BadRequest, PprError, RunFailed
from ppr.evaluators.subject import Subject

CONFIGS = Path(__file__).parent.parent / "configs" / "evaluator"

# One row an evaluator: the smallest set of fields that exercises it, and its fractions of 1.
ROWS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "linear": ({"epochs": 4, "labels_per_class": 5}, {"top1", "top5", "best_top1"}),
    "knn": ({"k": 7}, {"top1", "top5"}),
    "classifier": ({}, {"top1", "top5"}),
    "calibration": ({}, {"ece", "adaptive_ece", "classwise_ece", "confidence"}),
    "multilabel": ({}, {"map", "micro_ap", "positives"}),
    "classwise_accuracy": ({}, {"balanced", "worst", "head", "tail"}),
    "average_precision": ({}, {"ap"}),
    "sharpness": ({"iterations": 20}, set()),
    "aurc": ({}, {"aurc", "excess"}),
    "fgsm": ({}, {"top1", "clean"}),
    "anomaly": ({}, {"auroc", "fpr95", "cosine", "cosine_shifted"}),
    "retrieval": ({}, {"recall1", "recall5", "map", "map_r"}),
    "retrieval_pairs": ({}, {"top1", "mrr"}),
    "pair_cosines": ({}, {"negative_variance"}),
    "easy_negatives": ({}, {"share_ce", "share_focal", "easy"}),
    "class_variance": ({}, {"within", "between", "total"}),
    "uniformity": ({}, set()),
    "class_means": ({}, {"top1", "balanced"}),
}
every_evaluator = pytest.mark.parametrize("name", registry.names("evaluator"))


class Encoder(nn.Module):
    """Standardised pixels through batch norm, dropout and a layer: its mode changes its output."""

    def __init__(self, features: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.BatchNorm1d(48), nn.Dropout(0.5), nn.Linear(48, features)
        )
        self.features = features
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        features: Tensor = self.layers(images)
        return features


def plain(images: Tensor) -> Tensor:
    return images.float() / 255


def noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    return plain(images) + 0.05 * torch.randn(images.shape, generator=generator)


def make_dataset(classes: int = 7, sizes: tuple[int, int, int] = (140, 45, 90)) -> Dataset:
    random = torch.Generator().manual_seed(3)
    centres = torch.randint(40, 216, (classes, 3, 4, 4), generator=random)

    def split(size: int) -> Split:
        targets = torch.arange(size) % classes
        noise = 60 * torch.randn(size, 3, 4, 4, generator=random)
        return Split((centres[targets] + noise).clamp(0, 255).to(torch.uint8), targets)

    train, validation, test = map(split, sizes)
    names = tuple(f"class{c}" for c in range(classes))
    mean = std = (0.5, 0.5, 0.5)
    return Dataset("blobs", train, validation, test, (3, 4, 4), names, mean, std, "digest")


def make_subject(**changes: Any) -> Subject:
    torch.manual_seed(0)
    dataset = changes.pop("dataset", None) or make_dataset()
    encoder = changes.get("encoder") or Encoder()
    classifier = nn.Linear(getattr(encoder, "features", 1), len(dataset.classes))
    parts: dict[str, Any] = {
        "encoder": encoder,
        "classifier": classifier,
        "network": nn.Sequential(encoder, classifier),
        "dataset": dataset,
        "transform": plain,
        "train_transform": noisy,
        "pairs": lambda x, random: torch.stack([encoder(noisy(x, random)), encoder(plain(x))], 1),
        "device": torch.device("cpu"),
        "batch_size": 32,
    }
    return Subject(**{**parts, **changes})


def of_tensors(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], validation: Any = None
) -> Subject:
    """A subject whose features are the given ones."""
    classes = tuple(str(c) for c in range(int(train[1].max()) + 1))
    held_out = None if validation is None else Split(*validation)
    shape = tuple(train[0].shape[1:])
    data = Dataset("given", Split(*train), held_out, Split(*test), shape, classes, (), (), "")
    return Subject(
        encoder=nn.Identity(), classifier=nn.Identity(), dataset=data, device=torch.device("cpu")
    )


def clusters(seed: int, size: int, classes: int = 7, width: int = 10) -> tuple[Tensor, Tensor]:
    """Overlapping classes, so that no classifier is perfect and details show."""
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    random = torch.Generator().manual_seed(seed)
    targets = torch.arange(size) % classes
    return centres[targets] + 1.3 * torch.randn(size, width, generator=random), targets


def build(name: str, **fields: Any) -> Any:
    return ppr.build("evaluator", name, **fields)


# --- what every evaluator keeps ---------------------------------------------------------------


def test_every_evaluator_has_a_row() -> None:
    assert set(ROWS) == set(registry.names("evaluator"))


@every_evaluator
def test_metrics_and_protocol_are_plain_and_in_range(name: str) -> None:
    fields, fractions = ROWS[name]
    evaluator = build(name, **fields)
    metrics = evaluator(make_subject())
    assert fractions <= set(metrics)
    for metric, value in metrics.items():
        assert type(value) is float
        assert math.isfinite(value)
        most = 1 if metric in fractions else math.inf
        assert metric in ("negative", "gap") or 0 <= value <= most
    assert evaluator.needs in ("features", "logits", "pairs")
    assert yaml.safe_load(yaml.safe_dump(evaluator.protocol())) == evaluator.protocol()


@every_evaluator
def test_nothing_of_the_training_is_disturbed(name: str) -> None:
    subject = make_subject()
    assert subject.classifier is not None
    subject.encoder.train()
    subject.classifier.train()
    subject.encoder.get_submodule("layers.1").eval()  # frozen inside a training model
    before_modes = [module.training for module in subject.encoder.modules()]
    before = {key: value.clone() for key, value in subject.encoder.state_dict().items()}
    random_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    build(name, **ROWS[name][0])(subject)
    assert [module.training for module in subject.encoder.modules()] == before_modes
    assert subject.classifier.training
    assert torch.equal(torch.get_rng_state(), random_state)
    np.testing.assert_equal(np.random.get_state(legacy=False), numpy_state)
    assert all(torch.equal(v, before[k]) for k, v in subject.encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in subject.encoder.parameters())


@every_evaluator
def test_same_seed_same_result_whatever_the_global_state(name: str) -> None:
    results = []
    for global_seed in (1, 2):
        subject = make_subject()
        torch.manual_seed(global_seed)
        with torch.set_grad_enabled(global_seed == 1):
            results.append(build(name, **ROWS[name][0])(subject))
    assert results[0] == results[1]


@every_evaluator
def test_nan_features_fail_in_one_line_that_names_the_evaluator(name: str) -> None:
    subject = make_subject()
    with torch.no_grad():
        subject.encoder.get_parameter("layers.3.bias")[0] = math.nan
    with pytest.raises(RunFailed, match=rf"^evaluator\.{name}: .*NaN") as failure:
        build(name, **ROWS[name][0])(subject)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("name", [n for n in ROWS if "pair" not in n])
def test_one_class_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match=rf"^evaluator\.{name}: needs two classes"):
        build(name, **ROWS[name][0])(make_subject(dataset=make_dataset(classes=1)))


@every_evaluator
def test_two_classes_have_no_top5(name: str) -> None:
    metrics = build(name, **ROWS[name][0])(make_subject(dataset=make_dataset(classes=2)))
    assert "top5" not in metrics


@every_evaluator
def test_missing_validation_split(name: str) -> None:
    dataset = dataclasses.replace(make_dataset(), validation=None)
    evaluator = build(name, **ROWS[name][0])
    assert "best_top1" not in evaluator(make_subject(dataset=dataset))
    with pytest.raises(BadRequest, match="no validation split; allowed: train, test"):
        evaluator(make_subject(dataset=dataset, target_split="validation"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_config_builds_its_evaluator(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    fields = yaml.safe_load(text)
    name = fields.pop("name")
    assert text.splitlines()[0] == f"# @package evaluator.{name}"
    build(name, **fields)


def test_every_evaluator_has_a_config_of_its_name() -> None:
    assert set(registry.names("evaluator")) <= {path.stem for path in CONFIGS.glob("*.yaml")}


# --- the subject ------------------------------------------------------------------------------


def test_features_are_those_of_eval_mode_and_computed_once() -> None:
    subject = make_subject(batch_size=32)
    encoder = subject.encoder.train()
    features, targets = subject.features("test")
    subject.logits("test")
    assert encoder.calls == math.ceil(90 / 32)
    with torch.no_grad():
        expected = encoder.eval()(plain(subject.dataset.test.inputs))  # type: ignore[union-attr]
    torch.testing.assert_close(features, expected)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert torch.equal(targets, subject.dataset.test.targets)


def test_autocast_covers_the_encoder_and_features_stay_float32() -> None:
    exact = make_subject().features("test")[0]
    rounded = make_subject(autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    features = rounded.features("test")[0]
    assert features.dtype == torch.float32
    assert not torch.equal(features, exact)
    torch.testing.assert_close(features, exact, rtol=0.05, atol=0.05)
    assert rounded.logits("test")[0].dtype == torch.float32


def test_generators_differ_by_name_and_seed_only() -> None:
    def draw(seed: int, name: str) -> float:
        subject = make_subject(seed=seed)
        return float(torch.rand((), generator=subject.generator(name)))

    assert draw(0, "a") == draw(0, "a")
    assert len({draw(0, "a"), draw(0, "b"), draw(1, "a")}) == 3


class Streamed:
    """A split that loads its batches by row, as those too big for memory do."""

    def __init__(self, split: Split) -> None:
        self.split, self.targets = split, split.targets

    def __len__(self) -> int:
        return len(self.split)

    def load(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self.split.inputs[rows], self.targets[rows]


@every_evaluator
def test_streamed_splits_measure_the_same(name: str) -> None:
    dataset = make_dataset()
    parts = {part: Streamed(getattr(dataset, part)) for part in ("train", "validation", "test")}
    streamed = make_subject(dataset=dataclasses.replace(dataset, **parts))  # type: ignore[arg-type]
    state = torch.get_rng_state()
    metrics = build(name, **ROWS[name][0])(streamed)
    assert torch.equal(torch.get_rng_state(), state)
    assert metrics == build(name, **ROWS[name][0])(make_subject())


def test_encoder_must_make_one_row_a_sample() -> None:
    with pytest.raises(RunFailed, match=r"\[N, F\], the encoder made \[32, 3, 4, 4\]"):
        make_subject(encoder=nn.Identity()).features("test")


# --- linear -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", ["none", "standardise"])
def test_lbfgs_probe_is_scikit_learns_logistic_regression(scaling: str) -> None:
    train, test = clusters(1, 210), clusters(2, 300)
    weight_decay = 0.01
    metrics = build("linear", optimizer="lbfgs", weight_decay=weight_decay, scaling=scaling)(
        of_tensors(train, test)
    )
    scaler = StandardScaler(with_mean=scaling != "none", with_std=scaling != "none")
    fitted = scaler.fit_transform(train[0].double().numpy())
    model = LogisticRegression(C=1 / (210 * weight_decay), tol=1e-8, max_iter=5000)
    model.fit(fitted, train[1].numpy())
    scores = model.predict_log_proba(scaler.transform(test[0].double().numpy()))
    best_first = np.argsort(-scores, axis=1)
    right = best_first == test[1].numpy()[:, None]
    assert metrics["top1"] == pytest.approx(right[:, 0].mean())
    assert metrics["top5"] == pytest.approx(right[:, :5].any(axis=1).mean())
    assert 0.5 < metrics["top1"] < 0.95


def test_lbfgs_weights_are_scikit_learns() -> None:
    from ppr.evaluators.linear import _solve

    features, labels = clusters(1, 210)
    probe = _solve(features, labels, 7, 0.02)
    model = LogisticRegression(C=1 / (210 * 0.02), tol=1e-8, max_iter=5000).fit(features, labels)
    np.testing.assert_allclose(probe[:-1].T, model.coef_, atol=2e-4)
    biases = probe[-1] - probe[-1].mean()  # the bias is fixed up to a constant
    np.testing.assert_allclose(biases, model.intercept_ - model.intercept_.mean(), atol=2e-4)


def test_sgd_probe_converges_to_the_same_optimum() -> None:
    """With decay to a small rate and a decay on the weights, SGD ends near the exact solution."""
    train, test = clusters(1, 210), clusters(2, 700)
    exact = build("linear", optimizer="lbfgs", weight_decay=0.02)(of_tensors(train, test))
    trained = build("linear", lr=0.1, epochs=200, batch_size=70, weight_decay=0.02)(
        of_tensors(train, test)
    )
    assert trained["top1"] == pytest.approx(exact["top1"], abs=0.015)


def test_sgd_steps_are_those_of_autograd_and_torch_sgd() -> None:
    """Replays the probe's training with nn.Linear, autograd, torch.optim.SGD and MultiStepLR."""
    from ppr.evaluators.linear import Linear

    features, labels = clusters(1, 100)
    epochs, size = 10, 32
    evaluator = Linear(epochs=epochs, batch_size=size, lr=0.5, weight_decay=0.01)
    generator = torch.Generator().manual_seed(5)
    snapshots: list[Tensor] = []
    evaluator._descend(
        lambda: features, labels, 7, generator, lambda probe: snapshots.append(probe.clone())
    )

    generator.manual_seed(5)
    bound = 1 / math.sqrt(10)
    start = torch.empty(11, 7).uniform_(-bound, bound, generator=generator)
    model = nn.Linear(10, 7)
    with torch.no_grad():
        model.weight.copy_(start[:-1].T)
        model.bias.copy_(start[-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [6, 8, 9], gamma=0.2)
    assert len(snapshots) == epochs
    for snapshot in snapshots:
        order = torch.randperm(100, generator=generator)
        for first in range(0, 100, size):
            batch = order[first : first + size]
            loss = nn.functional.cross_entropy(model(features[batch]), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        schedule.step()
        torch.testing.assert_close(snapshot[:-1].T, model.weight.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(snapshot[-1], model.bias.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("epochs", "milestones"), [(100, (60, 75, 90)), (20, (12, 15, 18))])
def test_rate_decays_as_in_the_reference_recipe(epochs: int, milestones: tuple[int, ...]) -> None:
    """main_linear.py of SupContrast: rate * 0.2^(milestones below the 1-based epoch)."""
    from ppr.evaluators.linear import Linear

    probe = Linear(epochs=epochs, lr=5.0)
    rates = [probe.rate(epoch) for epoch in range(epochs)]
    passed = [sum(epoch > m for m in milestones) for epoch in range(1, epochs + 1)]
    assert rates == pytest.approx([5.0 * 0.2**count for count in passed])


def test_best_epoch_is_chosen_on_validation_never_on_test(monkeypatch: Any) -> None:
    train, test, validation = clusters(1, 70), clusters(2, 200), clusters(3, 200)
    from ppr.evaluators import linear

    seen: list[tuple[float, float]] = []
    count_right = linear._right

    def spy(probe: Tensor, features: Tensor, target: Tensor) -> Tensor:
        right = count_right(probe, features, target)
        seen.append((float(features.sum()), int(right) / 200))
        return right

    monkeypatch.setattr(linear, "_right", spy)
    metrics = build("linear", epochs=25, lr=1.0, batch_size=16)(of_tensors(train, test, validation))
    on_test = [value for total, value in seen if total == float(test[0].sum())]
    on_validation = [value for total, value in seen if total == float(validation[0].sum())]
    assert len(on_test) == len(on_validation) == 25
    assert metrics["best_top1"] == on_test[int(np.argmax(on_validation))]
    assert metrics["top1"] == on_test[-1]
    assert metrics["best_top1"] != max(on_test)  # chosen honestly, so not the best there was


def test_labels_per_class_is_a_balanced_seeded_subset() -> None:
    from ppr.evaluators.linear import Linear

    def rows(seed: int) -> Tensor:
        chosen = Linear(labels_per_class=5)._labelled(make_subject(seed=seed))
        assert chosen is not None
        return chosen

    targets = make_dataset().train.targets
    assert torch.equal(targets[rows(0)].bincount(), torch.full((7,), 5))
    assert len(set(rows(0).tolist())) == 35
    assert torch.equal(rows(0), rows(0))
    assert not torch.equal(rows(0), rows(1))
    together = torch.cat([rows(seed) for seed in range(40)]).bincount(minlength=140)
    assert together.min() > 0  # 40 draws of 5 in 20: a sample is never drawn with odds of 1e-5


def test_few_labels_fit_those_rows_only() -> None:
    """Labels of every other row are made useless: the probe must not have seen them."""
    from ppr.evaluators.linear import Linear

    subject = make_subject()
    few = build("linear", optimizer="lbfgs", weight_decay=0.01, labels_per_class=5)
    rows = Linear(labels_per_class=5)._labelled(subject)
    assert rows is not None
    features, targets = subject.features("train")
    test_features, test_targets = subject.features("test")
    model = LogisticRegression(C=1 / (35 * 0.01), tol=1e-8, max_iter=5000)
    model.fit(features[rows], targets[rows])
    expected = model.score(test_features, test_targets)
    assert few(subject)["top1"] == pytest.approx(expected)


def test_augmented_features_are_drawn_anew_each_epoch() -> None:
    subject = make_subject()
    calls: list[Tensor] = []

    def spy(images: Tensor, generator: torch.Generator) -> Tensor:
        calls.append(noisy(images, generator))
        return calls[-1]

    subject.train_transform = spy
    fields = {"epochs": 3, "labels_per_class": 4, "augment": True, "lr": 0.1}
    first = build("linear", **fields)(subject)
    assert [len(call) for call in calls] == [28] * 3  # the 28 labelled images, nothing else
    assert not torch.equal(calls[0], calls[1])
    assert build("linear", **fields)(make_subject()) == first


def test_constant_features_are_no_division_by_zero() -> None:
    train, test = clusters(1, 70), clusters(2, 70)
    flat = [(torch.cat([x, torch.full((len(x), 1), 3.0)], 1), y) for x, y in (train, test)]
    probe = build("linear", scaling="standardise", epochs=5, lr=0.1)
    assert probe(of_tensors(*flat)) == pytest.approx(probe(of_tensors(train, test)), abs=0.2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels_per_class": 21}, r"evaluator\.linear\.labels_per_class=21: must be at most 20"),
        ({"optimizer": "lbfgs"}, r"evaluator\.linear\.weight_decay=0: must be greater than 0"),
        (
            {"optimizer": "lbfgs", "weight_decay": 0.1, "augment": True},
            r"evaluator\.linear\.augment=True: allowed with optimizer=sgd only",
        ),
        ({"scaling": "standardize"}, "scaling='standardize': must be"),
        ({"labels": 3}, r"labels: evaluator 'linear' has no such field"),
    ],
)
def test_linear_refusals(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PprError, match=message) as failure:
        build("linear", **fields)(make_subject())
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 1e20}, r"evaluator\.linear\.lr=1e\+20: the probe diverged"),
        (
            {"optimizer": "lbfgs", "weight_decay": 1e-30},
            r"evaluator\.linear\.optimizer=lbfgs: not converged",
        ),
    ],
)
def test_a_probe_that_fails_says_so(fields: dict[str, Any], message: str) -> None:
    """Features of size 1e20 and mislabelled: nothing can fit them in float32."""
    features, targets = clusters(1, 70)
    split = features * 1e20, targets
    with pytest.raises(RunFailed, match=message):
        build("linear", **fields)(of_tensors(split, split))


def test_augment_without_an_augmentation_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"evaluator\.linear\.augment=True: .*no train augment"):
        build("linear", augment=True)(make_subject(train_transform=None))


def test_train_split_of_one_class_is_refused() -> None:
    train = clusters(1, 70)[0], torch.full((70,), 6)
    with pytest.raises(BadRequest, match=r"^evaluator\.linear: needs two classes"):
        build("linear")(of_tensors(train, clusters(2, 70)))


# --- k-NN -------------------------------------------------------------------------------------


def knn_votes(
    query: np.ndarray, bank: np.ndarray, labels: np.ndarray, k: int, temperature: float
) -> np.ndarray:
    """The equation, one neighbour at a time, in float64."""
    similarity = [float(query @ b / (np.linalg.norm(query) * np.linalg.norm(b))) for b in bank]
    votes = np.zeros(labels.max() + 1)
    for i in sorted(range(len(bank)), key=lambda i: -similarity[i])[:k]:
        votes[labels[i]] += math.exp(similarity[i] / temperature)
    return votes


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (70, 1.0)])
def test_knn_is_the_brute_force_loop(k: int, temperature: float, monkeypatch: Any) -> None:
    monkeypatch.setattr("ppr.evaluators.knn.SIMILARITIES_AT_ONCE", 700)  # several chunks
    train, test = clusters(1, 70), clusters(2, 64)
    metrics = build("knn", k=k, temperature=temperature)(of_tensors(train, test))
    bank, labels = train[0].double().numpy(), train[1].numpy()
    top1 = top5 = 0
    for query, target in zip(test[0].double().numpy(), test[1].numpy(), strict=True):
        order = np.argsort(-knn_votes(query, bank, labels, k, temperature), kind="stable")
        top1 += order[0] == target
        top5 += target in order[:5]
    assert metrics["top1"] == pytest.approx(top1 / 64)
    if k == 70:
        assert metrics["top5"] == pytest.approx(top5 / 64)
    assert ("top5" in metrics) == (k >= 5)


def test_hot_knn_is_scikit_learns_uniform_vote() -> None:
    train, test = clusters(1, 140), clusters(2, 200)
    metrics = build("knn", k=9, temperature=1e6)(of_tensors(train, test))
    model = KNeighborsClassifier(9, metric="cosine", weights="uniform").fit(*train)
    share = model.predict_proba(test[0])
    ties = np.sort(share, axis=1)[:, -1] - np.sort(share, axis=1)[:, -2] < 1e-9
    agreed = (model.predict(test[0]) == test[1].numpy())[~ties].sum() / 200
    assert agreed <= metrics["top1"] <= agreed + ties.mean()


def test_cold_knn_is_the_nearest_neighbour_and_does_not_overflow() -> None:
    train, test = clusters(1, 70), clusters(2, 70)
    nearest = build("knn", k=1)(of_tensors(train, test))["top1"]
    assert build("knn", k=70, temperature=1e-6)(of_tensors(train, test))["top1"] == nearest


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_knn_ignores_the_length_of_features(scale: float, seed: int) -> None:
    train, test = clusters(seed, 70), clusters(seed + 1, 35)
    longer = of_tensors((train[0] * scale, train[1]), (test[0] * scale, test[1]))
    knn = build("knn", k=1)
    assert knn(longer)["top1"] == pytest.approx(knn(of_tensors(train, test))["top1"], abs=0.03)


def test_k_above_the_training_samples_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"^evaluator\.knn\.k=141: must be at most 140"):
        build("knn", k=141)(make_subject())


# --- classifier and calibration ---------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in ROWS if build(n, **ROWS[n][0]).needs == "logits"])
def test_evaluators_of_logits_refuse_an_encoder_without_classifier(name: str) -> None:
    with pytest.raises(BadRequest, match=rf"^evaluator\.{name}: needs a classifier"):
        build(name)(make_subject(classifier=None))


@pytest.mark.parametrize("name", [n for n in ROWS if build(n, **ROWS[n][0]).needs == "features"])
def test_evaluators_of_features_need_no_classifier(name: str) -> None:
    with_one = build(name, **ROWS[name][0])(make_subject())
    assert build(name, **ROWS[name][0])(make_subject(classifier=None)) == with_one


@pytest.mark.parametrize("classes", [2, 5, 6, 40])
def test_accuracies_are_torchmetrics(classes: int) -> None:
    split = clusters(1, 400, classes=classes, width=classes)
    metrics = build("classifier")(of_tensors(split, split))
    assert set(metrics) == ({"top1", "top5"} if classes > 5 else {"top1"})
    for name, value in metrics.items():
        expected = multiclass_accuracy(*split, classes, top_k=int(name[3:]), average="micro")
        assert value == pytest.approx(expected.item())


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sharpness", [0.3, 3.0, 60.0])  # the last makes probabilities of exactly 1
def test_calibration_is_the_brute_force_loop(bins: int, sharpness: float) -> None:
    logits, targets = clusters(1, 300, classes=7, width=7)
    logits = logits * sharpness
    split = (logits, targets)
    metrics = build("calibration", bins=bins)(of_tensors(split, split))
    inside: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    nll = 0.0
    for row, target in zip(logits.double().tolist(), targets.tolist(), strict=True):
        total = math.fsum(math.exp(x - max(row)) for x in row)
        probabilities = [math.exp(x - max(row)) / total for x in row]
        top = max(probabilities)
        bin_ = min(math.ceil(top * bins) - 1, bins - 1)
        inside[bin_].append((top, probabilities.index(top) == target))
        nll -= (row[target] - max(row) - math.log(total)) / 300
    gaps = [
        abs(sum(p for p, _ in members) - sum(right for _, right in members)) for members in inside
    ]
    assert metrics["ece"] == pytest.approx(sum(gaps) / 300, abs=1e-5)
    assert metrics["nll"] == pytest.approx(nll, rel=1e-5)
    if sharpness == 60.0:
        assert (logits.softmax(1).max(1).values == 1).any()


def test_constant_logits_are_calibrated_to_chance() -> None:
    split = torch.zeros(70, 7), torch.arange(70) % 7
    metrics = build("calibration")(of_tensors(split, split))
    assert metrics["ece"] == pytest.approx(0, abs=1e-6)
    assert metrics["nll"] == pytest.approx(math.log(7), rel=1e-6)


def test_probability_one_shares_the_last_bin() -> None:
    """One sample certain and wrong, one at 0.95 and right: |1.95 - 1| / 2 if they share a bin."""
    logits = torch.tensor([[100.0, 0.0], [math.log(0.05), math.log(0.95)]])
    split = logits, torch.tensor([1, 1])
    assert build("calibration", bins=10)(of_tensors(split, split))["ece"] == pytest.approx(0.475)


# --- detection ---------------------------------------------------------------------------------


def detector(seed: int, samples: int = 300, imbalance: int = 20) -> Subject:
    """Logits of a background, 0, and two kinds of foreground, some of them confident."""
    random = torch.Generator().manual_seed(seed)
    target = (torch.arange(samples) % imbalance == 0) * (1 + torch.arange(samples) % 2)
    logits = 2 * torch.randn(samples, 3, generator=random) + torch.tensor([3.0, 0.0, 0.0])
    logits[torch.arange(samples), target] += 1.5
    return of_tensors((logits, target), (logits, target))


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_sklearns_of_any_foreground(seed: int) -> None:
    subject = detector(seed)
    logits, target = subject.logits("test")
    scores = torch.logsumexp(logits[:, 1:].double(), 1) - logits[:, 0]
    expected = average_precision_score((target > 0).numpy(), scores.numpy())
    assert build("average_precision")(subject)["ap"] == pytest.approx(expected, abs=1e-6)


def test_average_precision_is_its_sum() -> None:
    """Ranked foreground, background, foreground: 1/2 at precision 1, 1/2 at precision 2/3."""
    logits = torch.tensor([[0.0, 3.0], [0.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
    subject = of_tensors((logits, torch.tensor([1, 0, 1, 0])), (logits, torch.tensor([1, 0, 1, 0])))
    assert build("average_precision")(subject)["ap"] == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_easy_negatives_are_a_loop_over_the_background(threshold: float, gamma: float) -> None:
    subject = detector(1)
    logits, target = subject.logits("test")
    lost = {"share_ce": [0.0, 0.0], "share_focal": [0.0, 0.0]}
    easy = background = 0
    for row, label in zip(logits.tolist(), target.tolist(), strict=True):
        if label == 0:
            p = math.exp(row[0]) / sum(math.exp(value) for value in row)
            background += 1
            easy += p > threshold
            for name, weight in (("share_ce", 1.0), ("share_focal", (1 - p) ** gamma)):
                lost[name][0] += -weight * math.log(p) * (p > threshold)
                lost[name][1] += -weight * math.log(p)
    expected = {name: part / whole for name, (part, whole) in lost.items()}
    found = build("easy_negatives", threshold=threshold, gamma=gamma)(subject)
    assert 0 < expected["share_focal"] < 1
    assert found == pytest.approx(expected | {"easy": easy / background}, rel=1e-6)


def test_detection_needs_both_sides() -> None:
    logits = torch.zeros(4, 2)
    train = logits, torch.tensor([0, 1, 0, 1])
    for name, label in (("average_precision", 0), ("easy_negatives", 1)):
        subject = of_tensors(train, (logits, torch.full((4,), label)))
        with pytest.raises(BadRequest, match=f"evaluator.{name}: the test split has no"):
            build(name)(subject)
