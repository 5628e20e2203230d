"""Isotropy of embeddings for retrieval: rankings' scores, whitening, texts, the two studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.metrics import ndcg_score

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.evaluators.recommendation._ranking import ndcg, recall
from ppr.run import execute_here
from ppr.studies.retrieval_embedding._isotropy import mean_cosine, processed


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ndcg_is_scikit_learns(k: int) -> None:
    scores = normal(20, 12)
    relevant = normal(20, 12).flip(0) > 0.5
    relevant[:, 0] = True
    expected = [
        ndcg_score(truth[None].numpy(), row[None].numpy(), k=k)
        for truth, row in zip(relevant, scores, strict=True)
    ]
    np.testing.assert_allclose(ndcg(scores, relevant, k).numpy(), expected)


def test_recall_counts_what_is_found_of_what_there_is() -> None:
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    relevant = torch.tensor([[True, False, True, True], [False, False, False, False]])
    assert recall(scores, relevant, 2).tolist() == pytest.approx([1 / 3, 0])
    assert ndcg(scores, relevant, 2)[1] == 0


def test_whitening_is_scikit_learns_up_to_the_signs_of_axes() -> None:
    documents = normal(200, 6) @ normal(6, 6) + 3
    queries = normal(30, 6)
    theirs = PCA(whiten=True, svd_solver="full").fit(documents.numpy())
    scale = (200 / 199) ** 0.5  # scikit-learn divides the variance by n - 1
    for keep in (None, 2):
        ours = processed(documents, queries, "whitened", keep)
        expected = torch.from_numpy(theirs.transform(queries.numpy()))[:, :keep] * scale
        torch.testing.assert_close(ours.abs(), expected.abs())
    torch.testing.assert_close(processed(documents, queries, "raw"), queries)


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = normal(9, 4) + 1
    pairs = [
        F.cosine_similarity(vectors[i], vectors[j], dim=0).item()
        for i in range(9)
        for j in range(9)
        if i != j
    ]
    assert mean_cosine(vectors) == pytest.approx(np.mean(pairs))


def test_a_well_conditioned_map_leaves_nothing_to_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    words = ["task.documents=2000", "task.dim=4", "task.condition=1", "task.offset=0"]
    whitened, raw = (
        execute_here(
            compose(["experiment=isotropic_synthetic", *words, f"task.form={form}"]), Watcher()
        )["metrics"]
        for form in ("whitened", "raw")
    )
    assert whitened["ranking"]["ndcg"] == pytest.approx(raw["ranking"]["ndcg"], abs=0.05)
    assert whitened["documents"]["covariance_error"] < 1e-9


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Texts of two labels, each with its own words, in a mirror."""
    random = np.random.RandomState(0)
    folder = tmp_path / "tiny"
    folder.mkdir()
    for part, count in (("train", 60), ("test", 20)):
        labels = np.arange(count) % 2
        lines = [
            " ".join(f"w{random.randint(6) + 6 * label}" for _ in range(5)) for label in labels
        ]
        table = pa.table({"text": [*lines, "?"], "label": [*labels, 0]})
        pq.write_table(table, folder / f"{part}.parquet")
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PPR_DATA", str(tmp_path))
    return tmp_path


def test_bags_of_words_count_and_leave_out_texts_without_any(texts: Path) -> None:
    data = ppr.build("dataset", "hub_texts", texts, hub="x/tiny", classes=2, vocabulary=12).load()
    assert (len(data.train), len(data.test)) == (60, 20)
    assert (data.train.inputs.sum(1) == 5).all()
    own = data.train.inputs[:, :].clone()
    assert (own[data.train.targets == 0] @ own[data.train.targets == 1].T == 0).all()
    alone = {"hub": "x/tiny", "classes": 2, "vocabulary": 12, "test": None, "held": 0.25}
    parts = ppr.build("dataset", "hub_texts", texts, **alone).load()
    assert len(parts.train) + len(parts.test) == 60
    with pytest.raises(BadRequest, match="have 12 words"):
        ppr.build("dataset", "hub_texts", texts, hub="x/tiny", classes=2, vocabulary=99).load()


def test_texts_of_words_of_their_own_are_found(texts: Path) -> None:
    words = ["dataset.hub=x/tiny", "dataset.classes=2", "dataset.vocabulary=12", "task.dim=4"]
    words += ["dataset.label=label", "engine.device=cpu"]
    metrics = execute_here(compose(["experiment=isotropic_text", *words]), Watcher())["metrics"]
    assert metrics["ranking"]["ndcg"] == pytest.approx(1)
    assert metrics["gain"]["low"] <= metrics["gain"]["ndcg"]
    with pytest.raises(BadRequest, match=r"task\.dim=40"):
        execute_here(compose(["experiment=isotropic_text", *words, "task.dim=40"]), Watcher())
