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
from subjects import build, make_dataset, make_subject, of_tensors, plain
from torch import Tensor, nn

from ppr import registry
from ppr.data.dataset import Dataset, Split
from ppr.errors import BadRequest, RunFailed

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


@pytest.mark.parametrize("name", [n for n in ROWS if build(n, **ROWS[n][0]).needs == "logits"])
def test_evaluators_of_logits_refuse_an_encoder_without_classifier(name: str) -> None:
    with pytest.raises(BadRequest, match=rf"^evaluator\.{name}: needs a classifier"):
        build(name)(make_subject(classifier=None))


@pytest.mark.parametrize("name", [n for n in ROWS if build(n, **ROWS[n][0]).needs == "features"])
def test_evaluators_of_features_need_no_classifier(name: str) -> None:
    with_one = build(name, **ROWS[name][0])(make_subject())
    assert build(name, **ROWS[name][0])(make_subject(classifier=None)) == with_one


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
