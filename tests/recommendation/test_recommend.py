"""Recommendation: feedback, negatives and their chances, ranking metrics by loops, resumption."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Dataset, Split
from ppr.data.graph._planetoid import Citations
from ppr.data.recommendation.ir_benchmark import CATALOGUES
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench
from ppr.tasks.recommend import by_user

SMALL = ["dataset.users=30", "dataset.items=24", "dataset.chosen=9", "dataset.test=3",
         "dataset.validation=45", "model.dim=8", "engine.device=cpu"]  # fmt: skip
FULL = ["experiment=psl_low_rank", *SMALL, "engine.batch_size=40", "engine.epochs=2"]
NOISY = ["dataset.hidden=0.3", "task.noise=0.4"]
DRAWN = [*FULL, *NOISY, "task.negatives=7"]


def feedback(**fields: Any) -> Any:
    small = {"users": 30, "items": 24, "chosen": 9, "test": 3}
    return ppr.build("dataset", "low_rank_feedback", None, **{**small, **fields})


def open_loop(folder: Path, *words: str) -> Loop:
    bench = open_bench(compose(list(words)), folder, Watcher())
    return Loop(make_task(bench), bench)


def pairs(*splits: Split) -> list[tuple[int, int]]:
    return [
        (user, item)
        for split in splits
        for (user,), item in zip(split.inputs.tolist(), split.targets.tolist(), strict=True)
    ]


# --- data -------------------------------------------------------------------------------------


def test_each_user_chooses_different_items_and_gives_its_share_to_every_part():
    data = feedback(validation=60, hidden=0.25).load()
    parts = [pairs(part) for part in (data.train, data.validation, data.test)]
    parts.append([tuple(pair) for pair in data.extra["hidden"].tolist()])
    everything = [pair for part in parts for pair in part]
    assert len(everything) == len(set(everything)) == 30 * 9
    for part, each in zip(parts, (3, 2, 3, 1), strict=True):
        assert np.bincount([user for user, _ in part]).tolist() == [each] * 30
    assert data.digest == feedback(validation=60, hidden=0.25).load().digest
    assert data.digest != feedback(validation=60, hidden=0.25, split_seed=1).load().digest
    with pytest.raises(BadRequest, match=r"^dataset.chosen=3: must be more than test=3"):
        feedback(chosen=3)


def test_strength_and_popularity_make_choices_alike():
    """By chance alone each item is chosen by one user in ten; by popularity alone, some by all."""

    def counts(**fields: float) -> Tensor:
        known, test = feedback(users=400, items=100, chosen=10, test=1, **fields).interactions()
        return torch.from_numpy(np.concatenate([known, test]))[:, 1].bincount(minlength=100)

    chance = counts(strength=0.0, popularity=0.0)
    assert chance.float().mean() == 40
    assert chance.float().std() == pytest.approx(math.sqrt(400 * 0.1 * 0.9), rel=0.3)
    assert counts(strength=0.0, popularity=8.0).max() > 395


def test_cora_words_are_the_entries_of_its_matrix(monkeypatch):
    words = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 1], [0, 0, 1, 0, 0]])
    found = Citations(words, np.zeros(4), np.zeros(4), np.zeros((2, 0)))
    monkeypatch.setattr("ppr.data.graph._planetoid.read_citations", lambda graph, root: found)
    data = ppr.build("dataset", "cora_words", None, test=2).load()
    expected = [(paper, word) for paper in range(4) for word in range(5) if words[paper, word]]
    assert sorted(pairs(data.train, data.test)) == expected
    assert len(data.test) == 2
    with pytest.raises(BadRequest, match=r"^dataset.test=49216: must be less"):
        ppr.build("dataset", "cora_words", None, test=49_216)


def test_ir_benchmark_reads_its_split(tmp_path, monkeypatch):
    monkeypatch.setitem(CATALOGUES, "gowalla", (3, 4, 3, 2))
    folder = tmp_path / "ir_benchmark" / "gowalla"
    folder.mkdir(parents=True)
    source = ppr.build("dataset", "ir_benchmark", tmp_path, variant="gowalla")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadRequest, match="not here, and HF_HUB_OFFLINE"):
        source.load()
    write(folder / "train.parquet", [0, 2, 1], [1, 3, 0])
    write(folder / "test.parquet", [0, 1], [2, 3])
    data = source.load()
    assert pairs(data.train) == [(0, 1), (2, 3), (1, 0)]
    assert pairs(data.test) == [(0, 2), (1, 3)]
    for users, items, words in (
        ([0], [2], "1 interactions, not the published ones: 2 interactions of 3 users"),
        ([0, 1], [2, 4], "2 interactions, not the published ones"),
        ([0, 1], ["2", "x"], "not a table of users' and items' numbers"),
    ):
        write(folder / "test.parquet", users, items)
        with pytest.raises(RunFailed, match=words):
            source.load()
    pq.write_table(pa.table({"user": [0, 1]}), folder / "test.parquet")
    with pytest.raises(RunFailed, match="not a table of users' and items' numbers"):
        source.load()


def write(file: Path, users: list, items: list) -> None:
    pq.write_table(pa.table({"user": users, "item": items}), file)


# --- negatives --------------------------------------------------------------------------------


def test_items_by_user_are_sorted_and_padded():
    given = torch.tensor([[2, 5], [0, 3], [2, 1], [2, 5], [0, 0]])
    table, count = by_user(given, users=4, items=6)
    assert table.tolist() == [[0, 3, 6], [6, 6, 6], [1, 5, 6], [6, 6, 6]]
    assert count.tolist() == [2, 0, 2, 0]
    assert by_user(given[:0], users=2, items=6)[0].tolist() == [[6], [6]]


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_negatives_are_drawn_with_their_chances(noise, tmp_path):
    words = [*FULL, "dataset.hidden=0.3", f"task.noise={noise}"]
    task = open_loop(tmp_path, *words).task
    data = task.bench.dataset
    hidden = [tuple(pair) for pair in data.extra["hidden"].tolist()]
    chances = task.chances(torch.arange(30))
    for user in range(30):
        own = {item for other, item in pairs(data.train) if other == user}
        false = {item for other, item in hidden if other == user}
        share = noise if false else 0.0
        for item in range(24):
            of_false = share / len(false) if false else 0.0
            fair = (1 - share) / (24 - len(own) - len(false))
            expected = of_false if item in false else 0.0 if item in own else fair
            assert chances[user, item].item() == pytest.approx(expected, rel=1e-5)
    assert {len(false) for false in [{i for u, i in hidden if u == user} for user in range(30)]} > {
        1
    }
    users = torch.arange(4)
    drawn = task.draw(users, 20_000, torch.Generator().manual_seed(0))
    found = F.one_hot(drawn, 24).double().mean(1)
    # five standard deviations of a share of 20,000 draws
    bound = 5 * (chances[users].double() / 20_000).sqrt()
    assert ((found - chances[users]).abs() <= bound).all()


@pytest.mark.parametrize("sparse", [0.001, 10**6])
def test_scores_of_named_items_are_dot_products(sparse, tmp_path, monkeypatch):
    """Gathered one by one, and out of the scores of all, with their gradients."""
    monkeypatch.setattr("ppr.tasks.recommend.SPARSE", sparse)
    loop = open_loop(tmp_path, *DRAWN)
    batch = next(iter(loop.batches.epoch(0)))
    named = loop.task.prepare(batch, loop.random)
    found = loop.task(named)
    users, items = loop.task.encoder(named[:, :1]), loop.task.encoder.items()
    expected = torch.stack([
        torch.stack([users[row] @ items[item] for item in line[1:]])
        for row, line in enumerate(named.tolist())
    ])  # fmt: skip
    torch.testing.assert_close(found, expected)
    weights = list(loop.task.parameters())
    for one, other in zip(
        *(torch.autograd.grad(scores.square().sum(), weights) for scores in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_the_loss_over_all_items_is_the_mean_over_draws(tmp_path):
    """Of BPR, which is linear in the chances; and what is drawn is scored as all items are."""
    words = ["experiment=bpr_low_rank", *FULL[1:], *NOISY]
    whole, parts = (open_loop(tmp_path, *words, f"task.negatives={n}") for n in ("null", 50_000))
    parts.task.load_state_dict(whole.task.state_dict())
    batch = next(iter(whole.batches.epoch(0)))
    exact, drawn = (
        loop.task.loss(loop.task(loop.task.prepare(batch, loop.random)), batch)["loss"].item()
        for loop in (whole, parts)
    )
    assert drawn == pytest.approx(exact, rel=2e-3)
    few = open_loop(tmp_path, *words, "task.negatives=3").task
    inputs = few.prepare(batch, torch.Generator().manual_seed(1))
    assert torch.equal(inputs[:, :2], torch.stack([batch.inputs[:, 0], batch.targets], 1))
    vectors, items = few.encoder(batch.inputs), few.encoder.items()
    torch.testing.assert_close(
        few(inputs), torch.einsum("nd,nmd->nm", vectors, items[inputs[:, 1:]])
    )


@pytest.mark.parametrize("name", ["softmax", "psl", "bpr"])
def test_chances_are_repetitions(name):
    """A negative with twice the chance is one that is there twice."""
    loss = ppr.build("loss", f"{name}_ranking" if name == "softmax" else name)
    positive, negative = torch.tensor([0.3, -0.2]).double(), torch.rand(2, 3).double()
    twice = torch.cat([negative, negative[:, :1]], 1)
    chances = torch.tensor([[0.5, 0.25, 0.25, 0.0]] * 2).double()
    never = torch.cat([negative, torch.full((2, 1), 0.9).double()], 1)
    torch.testing.assert_close(loss(positive, never, chances), loss(positive, twice))
    for wrong in ((positive, negative[:1]), (positive, negative[:, :0]), (negative, negative)):
        with pytest.raises(ValueError, match="^scores"):
            loss(*wrong)


def test_softmax_among_the_item_itself_is_cross_entropy():
    scores, target = torch.randn(5, 7).double(), torch.tensor([1, 0, 6, 6, 2])
    loss = ppr.build("loss", "softmax_ranking", temperature=0.4)
    found = loss(scores[torch.arange(5), target], scores)
    torch.testing.assert_close(found, F.cross_entropy(scores / 0.4, target) - math.log(7))


def test_refuses_what_is_no_feedback(tmp_path):
    for words, message in {
        (*FULL, "task.noise=0.1"): r"^task.noise=0.1: no hidden items",
        (
            "experiment=psl_low_rank",
            "dataset=products",
        ): "task 'recommend' needs users",
    }.items():
        with pytest.raises(BadRequest, match=message):
            make_task(open_bench(compose(list(words)), tmp_path, Watcher()))


# --- evaluation -------------------------------------------------------------------------------


class Given(torch.nn.Module):
    """A network whose scores are given."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, users: Tensor) -> Tensor:
        return self.scores[users[:, 0]]


def split(*chosen: tuple[int, int]) -> Split:
    table = torch.tensor(chosen)
    return Split(table[:, :1], table[:, 1])


def subject(scores: Tensor, part: Any) -> Subject:
    train = split((0, 1), (1, 0), (1, 2), (2, 5), (3, 2), (4, 2))
    held, test = split((0, 0), (3, 1)), split((0, 3), (0, 5), (2, 0), (3, 0), (3, 4), (3, 5))
    extra = {"users": 5, "hidden": torch.tensor([[0, 2], [2, 4]])}
    items = tuple("abcdef")
    data = Dataset("given", train, held, test, (1,), items, (), (), "", extra)
    network = Given(scores)
    return Subject(encoder=network, network=network, dataset=data, device=torch.device("cpu"),
                   batch_size=2, target_split=part)  # fmt: skip


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("k", [1, 2, 20])
def test_metrics_by_loops(k, part):
    scores = torch.rand(5, 6, generator=torch.Generator().manual_seed(k))
    measured = subject(scores, part)
    data = measured.dataset
    known = pairs(data.train, *([data.validation] if part == "test" else []))
    known += [tuple(pair) for pair in data.extra["hidden"].tolist()]
    held = pairs(measured.split(part))
    ndcgs, recalls = [], []
    for user in sorted({user for user, _ in held}):
        own = {item for other, item in held if other == user}
        free = [item for item in range(6) if (user, item) not in known]
        best = sorted(free, key=lambda i: -scores[user, i].item())[:k]
        gains = [1 / math.log2(r + 2) for r, item in enumerate(best) if item in own]
        most = sum(1 / math.log2(r + 2) for r in range(min(k, len(own))))
        ndcgs.append(sum(gains) / most)
        recalls.append(len(gains) / len(own))
    found = ppr.build("evaluator", "recommendation", k=k)(measured)
    expected = {"ndcg": sum(ndcgs) / len(ndcgs), "recall": sum(recalls) / len(recalls)}
    assert found == pytest.approx(expected)


def test_popularity_is_how_often_an_item_was_chosen_in_training():
    counts = torch.tensor([1.0, 1, 3, 0, 0, 1]).expand(5, 6)
    by_count = ppr.build("evaluator", "recommendation", k=2)(subject(counts, "test"))
    popularity = ppr.build("evaluator", "recommendation", k=2, of="popularity")
    assert popularity(subject(torch.rand(5, 6), "test")) == by_count


# --- training ---------------------------------------------------------------------------------


def test_matrix_factorisation_learns_what_popularity_does_not_know():
    words = ["experiment=softmax_low_rank", "dataset.popularity=0.0", "engine.epochs=40"]
    summary = execute(compose(words))
    trained, known = (summary["metrics"][k]["ndcg"] for k in ("recommendation", "popularity"))
    assert summary["untrained"]["recommendation"]["ndcg"] < 0.15
    assert trained > 1.5 * known


@pytest.mark.parametrize("words", [FULL, DRAWN], ids=["all items", "drawn, with noise"])
def test_a_resumed_run_ends_with_the_same_bits(words, tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = open_loop(tmp_path / "whole", *words)
    whole.fit(lambda epoch: None)
    cut = open_loop(tmp_path / "cut", *words)
    for _, batch in zip(range(2), cut.batches.epoch(0), strict=False):
        cut.update(batch)
        cut.step += 1
    cut.save()
    resumed = open_loop(tmp_path / "cut", *words)
    resumed.fit(lambda epoch: None)
    assert resumed.step == whole.step > 3
    for name, value in whole.task.state_dict().items():
        assert torch.equal(value, resumed.task.state_dict()[name]), name


# --- the study --------------------------------------------------------------------------------


def test_surrogates_by_their_formulas():
    found = execute(compose(["experiment=pairwise_surrogates", "task.users=5"]))["metrics"]
    weight = {  # s(1)^(1/t - 1) s'(1) at t = 0.2
        "exp": math.exp(5),
        "tanh": (math.tanh(1) + 1) ** 4 * (1 - math.tanh(1) ** 2),
        "relu": 2.0**4,
        "atan": (math.pi / 4 + 1) ** 4 / 2,
    }
    for name, value in weight.items():
        assert found[name]["weight"] == pytest.approx(value)
        assert found[name]["duality"] < 1e-12
        assert found[name]["dcg"] > 0
        assert found[name]["below"] == 0 == found[name]["above"]
    assert all(
        found[name]["softmax"] < 0 > found[name]["excess"] for name in weight if name != "exp"
    )
