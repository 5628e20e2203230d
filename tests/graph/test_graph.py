"""Graphs: convolution, views within a budget, bounds over all of them, nodes contrasted, POT."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

import ppr
from ppr.config.compose import compose
from ppr.data.graph import _planetoid
from ppr.engine.bench import Watcher
from ppr.engine.seeding import seed_everything
from ppr.engine.subject import Subject
from ppr.errors import BadRequest, RunFailed
from ppr.graphs.bounds import (
    directions,
    entry_bounds,
    margin_bound,
    mixed,
    mixed_interval,
    published_score,
)
from ppr.graphs.graph import (
    Graph,
    budget,
    degrees,
    drop_edges,
    drop_within_budget,
    undirected,
    with_loops,
)
from ppr.launchers.execute import execute
from ppr.models.node_encoder import NodeEncoder
from ppr.run import make_task, open_bench
from tests.killing import KilledAt, assert_same_run, results_of

RING = torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])  # a ring of five with a chord
SMALL = ["experiment=pot_block_model", "dataset.nodes=80", "dataset.train=20", "dataset.within=0.2",
         "dataset.validation=20", "engine.batch_size=20", "engine.epochs=6", "engine.log_every=1",
         "engine.checkpoint_seconds=0", "engine.device=cpu", "model.hidden=[8,6]", "head.dim=6",
         "evaluator.linear.labels_per_class=5", "evaluator.compactness.views=3"]  # fmt: skip


def random_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring(nodes: int = 5, width: int = 4, seed: int = 0) -> Graph:
    features = torch.randn(nodes, width, generator=random_generator(seed), dtype=torch.float64)
    return Graph(features, undirected(RING, nodes))


def network(graph: Graph, seed: int = 0, activation: str = "relu") -> NodeEncoder:
    torch.manual_seed(seed)
    width = graph.features.shape[1]
    model = ppr.build("model", "gcn", (width,), hidden=[4, 3], activation=activation)
    for bias in model.biases:
        torch.nn.init.normal_(bias, std=0.3)
    return NodeEncoder(model, graph).double()


def dense(pattern: Tensor, kept: Tensor, nodes: int) -> Tensor:
    """The normalised adjacency, entry by entry."""
    m = [[0.0] * nodes for _ in range(nodes)]
    for (i, j), on in zip(pattern.T.tolist(), kept.tolist(), strict=True):
        m[i][j] = on
    rows = [sum(row) for row in m]
    entries = [[m[i][j] / math.sqrt(rows[i] * rows[j]) for j in range(nodes)] for i in range(nodes)]
    return torch.tensor(entries, dtype=torch.float64)


def embedded(encoder: NodeEncoder, adjacency: Tensor) -> Tensor:
    """Both layers in dense float64."""
    model = encoder.model
    h = encoder.features.to_dense() if encoder.features.is_sparse else encoder.features
    for weight, bias in zip(model.weights, model.biases, strict=True):
        h = model.activation(adjacency @ (h @ weight) + bias)
    return h.detach()


def views_in_budget(graph: Graph, rate: float) -> list[Tensor]:
    """Every view, each way of an edge on its own, in which no node loses more than its budget."""
    nodes = len(graph)
    pattern = with_loops(graph.edges, nodes)
    loop = pattern[0] == pattern[1]
    allowed = budget(pattern, rate, nodes)
    found = []
    for choice in itertools.product((0.0, 1.0), repeat=int((~loop).sum())):
        kept = torch.ones(len(loop))
        kept[~loop] = torch.tensor(choice)
        lost = degrees(pattern, torch.ones(len(loop)), nodes) - degrees(pattern, kept, nodes)
        if (lost <= allowed).all():
            found.append(kept)
    return found


# ------------------------------------------------------------------ graph and network


def test_an_undirected_graph_has_each_edge_both_ways_once() -> None:
    ends = torch.tensor([[0, 1, 2, 2, 1], [1, 0, 2, 0, 0]])
    assert undirected(ends, 3).T.tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]
    assert with_loops(undirected(ends, 3), 3).T.tolist() == [
        [0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 2]]  # fmt: skip


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_gcn_is_the_dense_computation(activation: str) -> None:
    graph = ring()
    encoder = network(graph, activation=activation)
    kept = drop_edges(encoder.pattern, 0.4, random_generator())
    assert 0 < (kept == 0).sum() < len(kept) - 5
    shown = torch.tensor([1.0, 0.0, 1.0, 1.0])
    expected = embedded(encoder, dense(encoder.pattern, kept, 5))
    torch.testing.assert_close(encoder.view(kept, torch.ones(4)), expected)
    whole = embedded(encoder, dense(encoder.pattern, torch.ones(len(kept)), 5))
    torch.testing.assert_close(encoder(torch.tensor([[3], [0]])), whole[[3, 0]])
    hidden = network(Graph(graph.features * shown, graph.edges), activation=activation)
    torch.testing.assert_close(encoder.view(kept, shown), hidden.view(kept, torch.ones(4)))


def test_features_that_are_mostly_zero_are_kept_sparse() -> None:
    graph = ring(5, 60)
    rare = torch.rand(5, 60, generator=random_generator()) < 0.08
    encoder = network(Graph(graph.features * rare, graph.edges))
    assert encoder.features.is_sparse
    whole = dense(encoder.pattern, torch.ones(encoder.pattern.shape[1]), 5)
    torch.testing.assert_close(encoder(torch.arange(5)), embedded(encoder, whole))


def test_without_a_graph_gcn_is_a_perceptron() -> None:
    model = ppr.build("model", "gcn", (4,), hidden=[8, 3])
    x = torch.randn(5, 4)
    expected = (x @ model.weights[0]).relu() @ model.weights[1]  # biases begin at 0
    torch.testing.assert_close(model(x), expected.relu())
    for words, shape, hidden in (("no", (4,), []), ("vectors", (3, 8, 8), [4])):
        del words
        with pytest.raises(BadRequest, match="model"):
            ppr.build("model", "gcn", shape, hidden=hidden)


# ------------------------------------------------------------------ views


def test_views_drop_at_the_rate_and_within_the_budget() -> None:
    nodes = 60
    ends = torch.randint(0, nodes, (2, 300), generator=random_generator())
    pattern = with_loops(undirected(ends, nodes), nodes)
    loop = pattern[0] == pattern[1]
    random = random_generator(1)
    ones = torch.ones(len(loop))
    degree = degrees(pattern, ones, nodes) - 1
    assert torch.equal(degree, torch.bincount(pattern[0], minlength=nodes) - 1.0)
    allowed = [min(max(int(d) - 1, 0), round(0.4 * int(d))) for d in degree]
    assert budget(pattern, 0.4, nodes).tolist() == allowed
    free = torch.stack([drop_edges(pattern, 0.4, random) for _ in range(200)])
    within = torch.stack([drop_within_budget(pattern, 0.4, nodes, random) for _ in range(200)])
    assert free[:, loop].all()
    assert within[:, loop].all()
    assert (free[:, ~loop] == 0).double().mean() == pytest.approx(0.4, abs=0.01)
    lost = torch.stack([degrees(pattern, 1 - kept, nodes) for kept in within])
    assert (lost <= torch.tensor(allowed)).all()
    assert (lost.amax(0) == torch.tensor(allowed)).all()  # and all of it is used
    assert ((within == 0).any(0) == ~loop)[torch.tensor(allowed)[pattern[0]] > 0].all()
    # A node may lose any of its edges alike.
    node = int(degree.argmax())
    into = (pattern[0] == node) & ~loop
    shares = (within[:, into] == 0).double().mean(0)
    assert shares.std() < 3 * math.sqrt(0.25 / 200)


# ------------------------------------------------------------------ bounds


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_the_bound_holds_for_every_view_in_the_budget(seed: int, activation: str) -> None:
    graph = ring(seed=seed)
    encoder = network(graph, seed, activation)
    pattern, rate = encoder.pattern, 0.5
    views = views_in_budget(graph, rate)
    assert len(views) > 100
    layers = encoder.two_layers()
    assert layers.slope == (0.25 if activation == "prelu" else 0)
    entries = entry_bounds(pattern, rate, 5, layers.x1)
    all_a = torch.stack([dense(pattern, kept, 5) for kept in views])
    on_pattern = all_a[:, pattern[0], pattern[1]]
    assert (on_pattern >= entries.lower - 1e-12).all()
    assert (on_pattern <= entries.upper + 1e-12).all()
    wanted = directions(embedded(encoder, all_a[-1])[torch.randperm(5)])
    with torch.no_grad():
        bound = margin_bound(layers, entries, wanted)
        z = torch.stack([embedded(encoder, a) for a in all_a])
        least = (z * wanted).sum(2).amin(0)
        below, above = mixed(entries, layers.x1)
        mixtures = all_a @ layers.x1
    assert (bound <= least + 1e-12).all()
    assert (bound > -50).all()
    assert (below <= mixtures.amin(0) + 1e-12).all()
    assert (above >= mixtures.amax(0) - 1e-12).all()


def test_bounds_of_a_mixture_are_met_at_the_corners() -> None:
    graph = ring()
    pattern = with_loops(graph.edges, 5)
    lower, upper = torch.rand(2, pattern.shape[1], generator=random_generator()).sort(0).values
    entries = entry_bounds(pattern, 0.5, 5, lower)._replace(lower=lower, upper=upper)
    values = graph.features.float()
    low, high = torch.zeros(5, 4), torch.zeros(5, 4)
    wide_low, wide_high = torch.zeros(5, 4), torch.zeros(5, 4)
    for p, (i, j) in enumerate(pattern.T.tolist()):
        for h in range(4):
            ends = [a * values[j, h] for a in (lower[p], upper[p])]
            low[i, h] += min(ends)
            high[i, h] += max(ends)
            ends = [a * (values[j, h] + d) for a in (lower[p], upper[p]) for d in (-0.5, 1)]
            wide_low[i, h] += min(ends)
            wide_high[i, h] += max(ends)
    torch.testing.assert_close(mixed(entries, values), (low, high))
    wide = mixed_interval(entries, values - 0.5, values + 1)
    torch.testing.assert_close(wide, (wide_low, wide_high))


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_without_edges_the_bound_and_the_published_score_are_the_margin(activation: str) -> None:
    graph = Graph(ring().features, torch.zeros(2, 0, dtype=torch.long))
    encoder = network(graph, activation=activation)
    layers, clean = encoder.two_layers(), encoder.adjacency()
    entries = entry_bounds(encoder.pattern, 0.5, 5, clean)
    z = encoder(torch.arange(5))
    wanted = directions(torch.randn(5, 3, dtype=torch.float64))
    torch.testing.assert_close(margin_bound(layers, entries, wanted), (z * wanted).sum(1))
    score = published_score(layers, entries, clean, clean, wanted)
    torch.testing.assert_close(score, (z * wanted).sum(1))


def line(lower: float, upper: float, slope: float) -> tuple[float, float]:
    """The chord of the activation, and its offset, as three cases."""
    if lower >= 0:
        return 1, 0
    if upper <= 0:
        return slope, 0
    rise = (upper - slope * lower) / (upper - lower)
    return rise, (slope - rise) * lower


@pytest.mark.parametrize("activation", ["relu", "prelu"])
def test_published_score_is_the_equations(activation: str) -> None:
    """Node by node: intervals from entries, lines of each node's own direction, one view."""
    graph = ring(7)
    encoder = network(graph, activation=activation)
    pattern, nodes, rate = encoder.pattern, len(graph), 0.4
    kept = drop_edges(pattern, rate, random_generator(3))
    layers, clean, view = encoder.two_layers(), encoder.adjacency(), encoder.adjacency(kept)
    other = torch.randn(nodes, 3, dtype=torch.float64, generator=random_generator(5))
    entries = entry_bounds(pattern, rate, nodes, clean)
    with torch.no_grad():
        found = published_score(layers, entries, clean, view, directions(other))

    a = dense(pattern, torch.ones(pattern.shape[1]), nodes).numpy()
    sampled = dense(pattern, kept, nodes).numpy()
    slope = layers.slope
    w1, w2 = (w.detach().numpy() for w in encoder.model.weights)
    b1, b2 = (b.detach().numpy() for b in encoder.model.biases)
    x = graph.features.numpy()
    act = lambda p: np.where(p > 0, p, slope * p)  # noqa: E731
    d = (a > 0).sum(1)
    k = [min(max(int(n) - 2, 0), round(rate * (int(n) - 1))) for n in d]
    hidden = act(a @ x @ w1 + b1)

    def interval(row: int, values: np.ndarray, bias: float) -> tuple[float, float]:
        low = high = bias
        for j in range(nodes):
            if a[row, j] > 0:
                most = 1 / math.sqrt((d[row] - k[row]) * (d[j] - k[j]))
                least = 1 / d[row] if row == j else 0.0
                ends = least * values[j], most * values[j]
                low, high = low + min(ends), high + max(ends)
        return low, high

    unit = other.numpy() / np.linalg.norm(other.numpy(), axis=1, keepdims=True)
    back = np.zeros((nodes, len(w1)))
    constant1, constant2 = np.zeros(nodes), np.zeros(nodes)
    for i in range(nodes):
        w = unit[i] - unit[np.arange(nodes) != i].mean(0)
        factor = np.zeros(len(w2))
        for c in range(len(b2)):
            rise, offset = line(*interval(i, hidden @ w2[:, c], b2[c]), slope)
            factor += rise * w[c] * w2[:, c]
            constant2[i] += rise * w[c] * b2[c] + (w[c] * offset if w[c] < 0 else 0)
        for h, v in enumerate(factor):
            rise, offset = line(*interval(i, x @ w1[:, h], b1[h]), slope)
            back[i] += rise * v * w1[:, h]
            constant1[i] += rise * v * b1[h] + (v * offset if v < 0 else 0)
    own = (x * back).sum(1)
    expected = sampled @ (sampled @ own + constant1) + constant2
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


# ------------------------------------------------------------------ tasks and the evaluator


def make(words: list[str], folder: Path):
    torch.manual_seed(0)
    config = compose(words)
    return make_task(open_bench(config, folder, Watcher()))


def test_the_loss_of_nodes_is_graces(tmp_path: Path) -> None:
    """Each node against all others of both views, either view first: semi_loss, both ways."""
    task = make([*SMALL, "task=contrast_nodes", "loss.temperature=0.7"], tmp_path)
    outputs = torch.randn(160, 6, generator=random_generator())
    found = task.loss(outputs, None)["loss"].item()
    unit = outputs / outputs.norm(dim=1, keepdim=True)
    views = unit[:80].numpy(), unit[80:].numpy()
    total = 0.0
    for own, other in (views, views[::-1]):
        for i in range(80):
            inside, across = np.exp(own[i] @ own.T / 0.7), np.exp(own[i] @ other.T / 0.7)
            total -= math.log(across[i] / (inside.sum() - inside[i] + across.sum()))
    assert found == pytest.approx(total / 160, rel=1e-5)


def test_pot_adds_the_scores_of_both_views(tmp_path: Path) -> None:
    task = make([*SMALL, "task.kappa=0.3"], tmp_path)
    inputs = task.prepare(None, random_generator())
    width = task.encoder.width
    assert inputs.shape == (2, task.encoder.pattern.shape[1] + width)
    with torch.no_grad():
        outputs = task(inputs)
        values = task.loss(outputs, None)
        z = task.encoded(inputs)
        clean = task.encoder.adjacency()
        terms = []
        for own, other, rate in ((0, 1, 0.4), (1, 0, 0.3)):
            entries = entry_bounds(task.encoder.pattern, rate, 80, clean)
            view = task.encoder.adjacency(inputs[own][:-width])
            args = task.encoder.two_layers(), entries, clean, view, directions(z[other])
            score = published_score(*args).double()
            terms.append(-torch.log(1 / (1 + torch.exp(-score))).mean().item())
        plain = make([*SMALL, "task=contrast_nodes"], tmp_path)
        plain.load_state_dict(task.state_dict())
        contrast = plain.loss(plain(inputs), None)["loss"].item()
    assert values["contrast"].item() == pytest.approx(contrast, rel=1e-6)
    assert values["compactness"].item() == pytest.approx(sum(terms) / 2, rel=1e-5)
    assert values["loss"].item() == pytest.approx(0.7 * contrast + 0.15 * sum(terms), rel=1e-5)


def test_some_nodes_are_contrasted_and_features_hidden(tmp_path: Path) -> None:
    words = [*SMALL, "task=contrast_nodes", "task.nodes=30", "task.drop_features=[0.25,1.0]"]
    task = make(words, tmp_path)
    shown = torch.stack([task.prepare(None, random_generator(n)) for n in range(40)])[:, :, -32:]
    assert shown[:, 0].mean().item() == pytest.approx(0.75, abs=0.05)
    assert not shown[:, 1].any()
    outputs = torch.randn(160, 6, generator=random_generator())
    torch.manual_seed(3)
    chosen = torch.randperm(80)[:30]
    torch.manual_seed(3)
    found = task.loss(outputs, None)["loss"]
    expected = task.criterion(torch.stack([outputs[chosen], outputs[80 + chosen]], dim=1))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["dataset=digits", "data.synthetic=64"], "needs a graph"),
        (["model=mlp", "~model.activation"], "allowed: gcn"),
        (["model.hidden=[8,8,8]"], "two layers"),
        (["engine.micro_batch=5"], "whole graph"),
        (["engine.seeds_per_process=2"], "whole graph"),
        (["task.drop_edges=[0.1]"], "two rates"),
    ],
)
def test_what_a_graph_task_refuses(words: list[str], match: str, tmp_path: Path) -> None:
    own = [w for w in SMALL if not ("dataset=digits" in words and w.startswith("dataset."))]
    with pytest.raises(BadRequest, match=match):
        make([*own, *words], tmp_path)


def test_a_killed_run_ends_with_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose([*SMALL, "task.nodes=50"])
    summary = execute(config)
    assert summary["metrics"]["compactness"]["holds"] == 1
    assert summary["untrained"]["compactness"]["holds"] == 1
    whole = results_of(config)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "killed"))
    config = compose([*SMALL, "task.nodes=50"])
    for step in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            execute(config, KilledAt(step))
        seed_everything(step)
    execute(config)
    assert_same_run(whole, results_of(config))


def test_compactness_of_the_whole_graph() -> None:
    """With nothing to drop, its margins are those of the whole graph in its own direction."""
    data = ppr.build("dataset", "block_model", None, nodes=60, train=12, validation=0).load()
    torch.manual_seed(0)
    model = ppr.build("model", "gcn", (32,), hidden=[8, 6])
    encoder = NodeEncoder(model, data.extra["graph"])
    subject = Subject(encoder=encoder, dataset=data, device=torch.device("cpu"))
    found = ppr.build("evaluator", "compactness", drop_edges=[0.0, 0.0], views=2)(subject)
    assert encoder.features.dtype == torch.float32
    z = encoder(torch.arange(60)).detach().double().numpy()
    unit = z / np.linalg.norm(z, axis=1, keepdims=True).clip(1e-12)
    cosines = unit @ unit.T
    margins = [cosines[i, i] - np.delete(cosines[i], i).mean() for i in range(60)]
    assert found["cosine"] == pytest.approx(np.mean(margins), abs=1e-6)
    assert found["negative"] == np.mean(np.array(margins) < 0)
    assert found["holds"] == 1
    with pytest.raises(BadRequest, match="graph"):
        ppr.build("evaluator", "compactness")(
            Subject(encoder=model, dataset=data, device=torch.device("cpu"))
        )


# ------------------------------------------------------------------ data


def test_block_model_has_its_blocks() -> None:
    data = ppr.build("dataset", "block_model", None, nodes=800, signal=0.5, spread=1.0).load()
    graph = data.extra["graph"]
    assert [len(part) for part in (data.train, data.validation, data.test)] == [40, 120, 640]
    parts = [data.train, data.validation, data.test]
    nodes = torch.cat([part.inputs[:, 0] for part in parts])
    assert torch.equal(nodes.sort().values, torch.arange(800))
    blocks = torch.empty(800, dtype=torch.long)
    blocks[nodes] = torch.cat([part.targets for part in parts])
    assert blocks.bincount().tolist() == [200] * 4
    same = blocks[graph.edges[0]] == blocks[graph.edges[1]]
    assert int(same.sum()) / (800 * 199) == pytest.approx(0.045, rel=0.05)
    assert int((~same).sum()) / (800 * 600) == pytest.approx(0.012, rel=0.05)
    assert torch.equal(undirected(graph.edges, 800), graph.edges)
    inside = torch.stack([graph.features[blocks == b].std(0) for b in range(4)])
    assert inside.mean().item() == pytest.approx(1, rel=0.05)
    again = ppr.build("dataset", "block_model", None, nodes=800, signal=0.5, spread=1.0).load()
    other = ppr.build("dataset", "block_model", None, nodes=800, split_seed=1).load()
    assert data.digest == again.digest != other.digest
    with pytest.raises(BadRequest, match="dataset.nodes=40"):
        ppr.build("dataset", "block_model", None, nodes=40)


def test_planetoid_reads_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = _planetoid.Published(6, 4, 4, 2, ("0", "1"))
    monkeypatch.setitem(_planetoid.GRAPHS, "cora", known)
    monkeypatch.setattr(_planetoid, "VALIDATION", 1)
    monkeypatch.setattr(_planetoid, "TEST", 2)
    folder = tmp_path / "planetoid" / "cora"
    folder.mkdir(parents=True)
    columns = {
        "node": [5, 0, 1, 2, 3, 4],
        "label": [-1, 0, 1, 0, 1, 0],
        "split": ["none", "train", "train", "validation", "test", "test"],
        "feature_index": [[], [0, 3], [1], [2], [0, 1, 2, 3], [3]],
        "feature_value": [[], [1.0, 1.0], [1.0], [1.0], [1.0, 1.0, 1.0, 1.0], [1.0]],
    }
    pq.write_table(pa.table(columns), folder / "nodes.parquet")
    pq.write_table(
        pa.table({"source": [0, 1, 2, 3], "target": [1, 0, 3, 2]}), folder / "edges.parquet"
    )
    data = ppr.build("dataset", "planetoid", tmp_path).load()
    assert data.train.inputs.tolist() == [[0], [1]]
    assert data.test.targets.tolist() == [1, 0]
    graph = data.extra["graph"]
    words = [[0.5, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0.25] * 4, [0, 0, 0, 1], [0] * 4]
    assert graph.features.tolist() == words
    assert graph.edges.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2]]
    pq.write_table(pa.table({"source": [0], "target": [1]}), folder / "edges.parquet")
    with pytest.raises(RunFailed, match="1 edges where 6 and 4"):
        ppr.build("dataset", "planetoid", tmp_path).load()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadRequest, match="not here, and HF_HUB_OFFLINE"):
        ppr.build("dataset", "planetoid", tmp_path / "planetoid").load()
