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
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from subjects import build, clusters, make_dataset, make_subject, of_tensors, plain
from torch import Tensor, nn

from ppr import registry
from ppr.data.dataset import Dataset, Split
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.evaluators.calibration.calibration import expected_error

TESTS = Path(__file__).parents[1]
CONFIGS = Path(__file__).parents[2] / "configs" / "evaluator"

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
    "pair_risk": ({}, set()),
    "easy_negatives": ({}, {"share_ce", "share_focal", "easy"}),
    "class_variance": ({}, {"within", "between", "total"}),
    "uniformity": ({}, set()),
    "class_means": ({}, {"top1", "balanced"}),
}
every_evaluator = pytest.mark.parametrize("name", ROWS)

# Those that measure what no ordinary classifier has, and the file that tests them.
ELSEWHERE = {
    "attribution": "test_attribution",
    "compactness": "test_graph",
    "forecast": "test_forecast",
    "generated": "test_generate",
    "group_fairness": "test_tabular",
    "language_model": "test_language",
    "memorisation": "test_language",
    "numbers": "test_language",
    "recommendation": "test_recommend",
    "segmentation": "test_predict",
    "spread": "test_ssl_losses",
    "temperatures": "test_ssl_losses",
}


# --- what every evaluator keeps ---------------------------------------------------------------


def test_every_evaluator_has_a_row_or_a_file_that_tests_it() -> None:
    assert {*ROWS, *ELSEWHERE} == set(registry.names("evaluator"))
    for name, file in ELSEWHERE.items():
        assert name in next(TESTS.rglob(f"{file}.py")).read_text(), name


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


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_config_builds_its_evaluator(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    fields = yaml.safe_load(text)
    name = fields.pop("name")
    # An option that is to stand beside the evaluator's own has a place of its own.
    places = [f"# @package evaluator.{place}" for place in (name, path.stem)]
    assert text.splitlines()[0] in places
    build(name, **fields)


def test_every_evaluator_has_a_config_of_its_name() -> None:
    assert set(registry.names("evaluator")) <= {path.stem for path in CONFIGS.rglob("*.yaml")}


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
    monkeypatch.setattr(
        "ppr.evaluators.representation.knn.SIMILARITIES_AT_ONCE", 700
    )  # several chunks
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
def test_accuracies_are_the_loop_over_sorted_scores(classes: int) -> None:
    split = clusters(1, 400, classes=classes, width=classes)
    metrics = build("classifier")(of_tensors(split, split))
    assert set(metrics) == ({"top1", "top5"} if classes > 5 else {"top1"})
    for name, value in metrics.items():
        best = split[0].argsort(1, descending=True)[:, : int(name[3:])].tolist()
        hits = [target in row for row, target in zip(best, split[1].tolist(), strict=True)]
        assert value == pytest.approx(sum(hits) / len(hits))


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


@pytest.mark.parametrize("bins", [1, 2, 7, 15])
def test_bins_hold_their_lower_edge(bins: int) -> None:
    """Confidences on, just below and just above every edge, against numpy's histogram of them."""
    edges = torch.linspace(0, 1, bins + 1).numpy()
    beside = [np.nextafter(edges[1:], np.float32(0)), np.nextafter(edges[:-1], np.float32(1))]
    confidence = np.concatenate([edges, *beside])
    right = (np.arange(len(confidence)) % 3 == 0).astype(np.float32)
    sums = [
        np.histogram(confidence, edges, weights=each)[0].astype(np.float64)
        for each in (confidence, right)
    ]
    expected = np.abs(sums[0] - sums[1]).sum() / len(confidence)
    found = expected_error(torch.from_numpy(confidence), torch.from_numpy(right), bins)
    assert found == pytest.approx(expected, abs=1e-6)


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


# --- splits with next to nothing in them ------------------------------------------------------


def tiny(classes: int, sizes: list[list[int]], alike: bool) -> Dataset:
    random = torch.Generator().manual_seed(len(sizes[0]))

    def split(targets: list[int]) -> Split:
        images = torch.randint(256, (len(targets), 3, 4, 4), generator=random, dtype=torch.uint8)
        labels = torch.tensor(targets, dtype=torch.int64) % classes
        return Split(torch.full_like(images, 9) if alike else images, labels)

    train, validation, test = map(split, sizes)
    held = validation if len(validation) else None
    names = tuple(map(str, range(classes)))
    return Dataset("tiny", train, held, test, (3, 4, 4), names, (0.5,) * 3, (0.5,) * 3, "")


class Silent(nn.Module):
    """Features that are all 0."""

    features = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :12] * 0.0


LEAST = {"knn": {"k": 1}, "linear": {"epochs": 1}, "sharpness": {"iterations": 2}}


@pytest.mark.parametrize("name", registry.names("evaluator"))
@settings(max_examples=12, deadline=None)
@given(
    classes=st.integers(2, 6),
    train=st.lists(st.integers(0, 5), min_size=1, max_size=8),
    validation=st.lists(st.integers(0, 5), max_size=2),
    test=st.lists(st.integers(0, 5), max_size=5),
    alike=st.booleans(),
    silent=st.booleans(),
)
def test_tiny_splits_are_measured_or_refused_in_one_line(
    name, classes, train, validation, test, alike, silent
) -> None:
    """Where a mean is over nothing it is NaN, and the engine leaves it out: no bare error."""
    changes = {"encoder": Silent()} if silent else {}
    subject = make_subject(dataset=tiny(classes, [train, validation, test], alike), **changes)
    found, refusal = {}, "evaluator."
    try:
        found = build(name, **LEAST.get(name, {}))(subject)
    except (BadRequest, RunFailed) as error:
        refusal = str(error)
    assert all(type(value) is float for value in found.values())
    assert refusal.startswith(("evaluator.", "dataset "))
    assert "\n" not in refusal


@pytest.mark.parametrize("test", [[0], [0, 1, 2]])
def test_retrieval_needs_a_class_of_two(test) -> None:
    with pytest.raises(BadRequest, match="no class of the test split has two samples"):
        build("retrieval")(make_subject(dataset=tiny(3, [[0, 1, 2], [], test], False)))


def test_a_multilabel_split_needs_a_positive_label() -> None:
    logits, none = torch.randn(5, 3), torch.zeros(5, 3)
    subject = of_tensors((logits, torch.tensor([0, 1, 2, 0, 1])), (logits, none))
    with pytest.raises(BadRequest, match="no label of the test split is positive"):
        build("multilabel")(subject)
