"""k-NN against a brute-force loop, scikit-learn and its limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from subjects import build, clusters, make_subject, of_tensors

from ppr.errors import BadRequest


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
