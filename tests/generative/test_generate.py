"""Generation: consistency training by loops, its task and data, scores of samples, its study."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm
from subjects import make_subject
from torch import Tensor

import ppr
from ppr.config.compose import compose
from ppr.data.dataset import Dataset
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import load_weights
from ppr.engine.loop import Loop
from ppr.engine.seeding import seed_everything
from ppr.errors import BadRequest, RunFailed
from ppr.evaluators.generative.generated import frechet, mmd2
from ppr.launchers.execute import execute
from ppr.losses.generative.consistency import ConsistencyLoss
from ppr.run import make_task, open_bench
from ppr.studies.generative import teacher_lag
from ppr.studies.generative.teacher_lag import TeacherLag, moment
from tests.killing import KilledAt

TINY = ["experiment=ict_ring", "dataset.train=96", "dataset.test=20", "dataset.validation=0",
        "engine.batch_size=32", "engine.epochs=4", "engine.device=cpu", "model.hidden=[8]",
        "evaluator.generated.samples=9",
        "engine.checkpoint_seconds=0", "engine.log_every=1"]  # fmt: skip


def loss(**fields: object) -> ConsistencyLoss:
    built: ConsistencyLoss = ppr.build("loss", "consistency", **fields)
    return built


def toy(x: Tensor, t: Tensor) -> Tensor:
    """A network that depends on every entry and on the level."""
    return torch.tanh(x.flip(1) * 0.7 + t[:, None])


def draws(count: int, size: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    samples, noise = torch.randn(2, count, size, generator=generator, dtype=torch.float64)
    return samples, noise


# --- levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [0.0, 0.3, 0.999])
def test_levels_are_karras_and_their_law_is_that_of_a_lognormal_level(done: float) -> None:
    objective = loss(last_steps=160)
    objective.advance(done)
    points = len(objective.grid)
    ends = [s ** (1 / 7) for s in (0.002, 80.0)]
    step = (ends[1] - ends[0]) / (points - 1)
    grid = [(ends[0] + i * step) ** 7 for i in range(points)]
    np.testing.assert_allclose(objective.grid, grid, rtol=1e-6)
    below = norm.cdf(np.log(grid), loc=-1.1, scale=2.0)
    np.testing.assert_allclose(
        objective.law, np.diff(below) / (below[-1] - below[0]), rtol=1e-4, atol=1e-7
    )
    drawn = objective.levels(20_000, torch.Generator().manual_seed(0))
    i = torch.searchsorted(objective.grid, drawn[:, 0].contiguous())
    assert torch.equal(objective.grid[i + 1], drawn[:, 1])
    counts = torch.bincount(i, minlength=points - 1).double()
    expected = 20_000 * objective.law.double()
    assert ((counts - expected).abs() <= 5 * expected.sqrt() + 1).all()


def test_uniform_levels() -> None:
    objective = loss(noise="uniform", first_steps=7, last_steps=7)
    assert objective.law.tolist() == pytest.approx([1 / 7] * 7)


@pytest.mark.parametrize(("first", "last", "steps"), [(10, 1280, 800), (10, 160, 50), (3, 3, 9)])
def test_the_number_of_levels_doubles(first: int, last: int, steps: int) -> None:
    """As the paper counts them, with total steps that its K' divides."""
    objective = loss(first_steps=first, last_steps=last)
    every = math.floor(steps / (math.log2(last // first) + 1))
    for k in range(steps):
        objective.advance(k / steps)
        assert len(objective.grid) == min(first * 2 ** (k // every), last) + 1, k


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"first_steps": 20, "last_steps": 10}, "loss.last_steps=10: less than first_steps=20"),
        ({"sigma_max": 0.001}, "loss.sigma_max=0.001: not above sigma_min=0.002"),
    ],
)
def test_levels_that_do_not_grow_are_refused(fields: dict[str, float], words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        loss(**fields)


# --- prediction and target --------------------------------------------------------------------


def by_hand(x: list[float], s: float, low: float = 0.002, own: float = 0.5) -> list[float]:
    """f of one sample with the network `toy`, in Python floats."""
    spread = math.sqrt(s * s + own * own)
    skip = own**2 / ((s - low) ** 2 + own**2)
    out = own * (s - low) / spread
    network = [math.tanh(0.7 * v / spread + math.log(s) / 4) for v in reversed(x)]
    return [skip * v + out * f for v, f in zip(x, network, strict=True)]


def test_prediction_and_target_are_the_equations() -> None:
    samples, noise = draws(5)
    levels = torch.tensor(
        [[0.002, 0.01], [0.3, 0.5], [1.0, 2.0], [7.0, 9.0], [60.0, 80.0]]
    ).double()
    found = loss().estimates(toy, samples, noise, levels)
    for n, (x, z) in enumerate(zip(samples.tolist(), noise.tolist(), strict=True)):
        for column, s in ((1, levels[n, 1].item()), (0, levels[n, 0].item())):
            noisy = [a + s * b for a, b in zip(x, z, strict=True)]
            made = found[1 - column][n].tolist()
            assert made == pytest.approx(by_hand(noisy, s), rel=1e-12)


def test_the_lowest_level_is_the_data() -> None:
    samples, _ = draws(4)
    low = torch.full((4,), 0.002, dtype=torch.float64)
    assert torch.equal(loss().denoise(toy, samples, low), samples)


@pytest.mark.parametrize("decay", [None, 0.8])
def test_the_gradient_goes_through_the_prediction_alone(decay: float | None) -> None:
    samples, noise = draws(6)
    objective = loss(teacher_decay=decay).double()
    levels = objective.levels(6, torch.Generator().manual_seed(0))
    network = Toy()
    objective.begin(network)
    with torch.no_grad():
        network.weight += 0.3
    prediction, target = objective.estimates(network, samples, noise, levels)
    (found,) = torch.autograd.grad(objective(prediction, target, levels), network.weight)
    moved = objective.denoise(network, samples + levels[:, 1:] * noise, levels[:, 1])
    teacher = network if decay is None else Toy()  # the average has not followed yet
    fixed = objective.denoise(teacher, samples + levels[:, :1] * noise, levels[:, 0])
    value = objective(moved, fixed.detach(), levels)
    (expected,) = torch.autograd.grad(value, network.weight)
    torch.testing.assert_close(found, expected)


def test_the_teacher_follows_the_network() -> None:
    objective = loss(teacher_decay=0.8)
    network = Toy()
    objective.begin(network)
    average = 1.0
    for weight in (2.0, -1.0, 5.0):
        with torch.no_grad():
            network.weight.fill_(weight)
        objective.after_step(network)
        average = 0.8 * average + 0.2 * weight
    assert objective.teacher is not None
    assert objective.teacher.weight.item() == pytest.approx(average)
    assert not objective.teacher.weight.requires_grad


class Toy(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return toy(self.weight * x, t)


@pytest.mark.parametrize("levels", [[], [0.8], [3.0, 0.5]])
def test_samples_of_the_right_network_have_the_datas_law(levels: list[float]) -> None:
    """For data N(0, 0.5^2) the consistency function scales to the deviation at the lowest level."""
    objective = loss(sigma_max=20.0)

    def network(scaled: Tensor, t: Tensor) -> Tensor:
        s = (4 * t).exp()[:, None]
        spread = (s**2 + 0.25).sqrt()
        x = scaled * spread
        right = x * ((0.25 + 0.002**2) ** 0.5 / spread)
        skip, out = 0.25 / ((s - 0.002) ** 2 + 0.25), 0.5 * (s - 0.002) / spread
        return (right - skip * x) / out

    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(40_000, 1, generator=generator, dtype=torch.float64)
    made = objective.sample(network, noise, levels, generator)
    assert made.std().item() == pytest.approx(0.5, rel=0.015)
    if not levels:  # deterministic: each sample is its noise, made smaller
        torch.testing.assert_close(made, noise * 20 * 0.5 / (400.25**0.5), rtol=1e-4, atol=0)


# --- the task ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["loss.teacher_decay=null", "loss.teacher_decay=0.9"])
def test_a_killed_run_ends_with_the_same_bits(word: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "whole"))
    config = compose([*TINY, word])
    whole = execute(config)["metrics"], load_weights(config.folder / "model.pt")
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path / "killed"))
    config = compose([*TINY, word])
    for step in (4, 9):
        with pytest.raises(KeyboardInterrupt):
            execute(config, KilledAt(step))
        seed_everything(random.randrange(10**6))
    again = execute(config)["metrics"], load_weights(config.folder / "model.pt")
    assert again[0] == whole[0]
    assert again[1].keys() == whole[1].keys()
    assert any(name.startswith("criterion.teacher") for name in whole[1]) == ("0.9" in word)
    assert all(torch.equal(again[1][name], value) for name, value in whole[1].items())


def test_parts_of_a_batch_give_the_batchs_gradient(tmp_path: Path) -> None:
    found = []
    for word in ("engine.micro_batch=null", "engine.micro_batch=5"):
        bench = open_bench(compose([*TINY, word]), tmp_path, Watcher())
        task = make_task(bench)
        loop = Loop(task, bench)
        loop.backward(next(iter(loop.batches.epoch(0))))
        found.append([p.grad for p in task.parameters()])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)


def test_digits_are_drawn_in_their_own_shape(tmp_path: Path) -> None:
    words = ["experiment=ict_digits", "engine.device=cpu", "model.hidden=[8]"]
    task = make_task(open_bench(compose(words), tmp_path, Watcher()))
    drawn = task.sample(3, [0.5], torch.Generator().manual_seed(0))
    assert drawn.shape == (3, 1, 8, 8)


def test_features_without_a_level_are_refused() -> None:
    words = [word for word in TINY if not word.startswith("evaluator")]
    with pytest.raises(BadRequest, match="task=generate: its network has no features"):
        execute(compose([*words, "evaluator=[knn]", "evaluator.knn.k=3"]))


def test_training_comes_nearer_to_the_data() -> None:
    words = ["experiment=ict_ring", "model.hidden=[32,32]", "dataset.train=2048",
             "engine.batch_size=128", "engine.epochs=15", "evaluator=[generated]",
             "evaluator.generated.samples=500", "optimizer.lr=0.005", "engine.ema_decay=0.95",
             "engine.device=cpu"]  # fmt: skip
    summary = execute(compose(words))
    untrained, trained = (summary[k]["generated"]["mmd2"] for k in ("untrained", "metrics"))
    assert trained < 0.6 * untrained


# --- scores of samples ------------------------------------------------------------------------


def some(count: int, shift: float = 0.0, size: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) + shift


def test_mmd_by_loops() -> None:
    x, y = some(7), some(9, 0.4)
    widths = (0.3, 1.1)

    def k(a: Tensor, b: Tensor) -> float:
        square = sum((p - q) ** 2 for p, q in zip(a.tolist(), b.tolist(), strict=True))
        return sum(math.exp(-square / (2 * width**2)) for width in widths)

    same_x = [k(x[i], x[j]) for i in range(7) for j in range(7) if i != j]
    same_y = [k(y[i], y[j]) for i in range(9) for j in range(9) if i != j]
    between = [k(a, b) for a in x for b in y]
    expected = sum(same_x) / 42 + sum(same_y) / 72 - 2 * sum(between) / 63
    assert mmd2(x, y, widths) == pytest.approx(expected, rel=1e-9)


def test_mmd_of_one_law_is_zero_in_the_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(300, 2, 12, 2, generator=generator, dtype=torch.float64)
    found = [mmd2(x, y, (0.5, 1.0)) for x, y in pairs]
    assert abs(np.mean(found)) < 4 * np.std(found) / math.sqrt(len(found))


@pytest.mark.parametrize("size", [1, 3])
def test_frechet_is_that_of_scipys_root(size: int) -> None:
    x, y = some(40, size=size), some(50, 0.7, size) * torch.linspace(0.5, 2, size)
    c, d = (np.atleast_2d(np.cov(a.numpy().T)) for a in (x, y))
    means = x.mean(0) - y.mean(0)
    expected = float(means @ means) + np.trace(c + d - 2 * sqrtm(c @ d).real)
    assert frechet(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_scores_of_the_training_data_are_the_floor() -> None:
    subject = make_subject()
    train = torch.cat([x for x, _ in subject.batches("train")])
    subject.draw = lambda count, levels, random: train[torch.randperm(len(train), generator=random)]
    size = len(train)
    subject.batch_size = size
    found = ppr.build("evaluator", "generated", samples=size, bandwidths=[3.0])(subject)
    for name in ("mmd2", "frechet"):
        assert found[name] == pytest.approx(found[f"floor_{name}"], abs=1e-9)


def test_what_cannot_be_scored_is_refused() -> None:
    evaluator = ppr.build("evaluator", "generated", samples=5)
    subject = make_subject()
    with pytest.raises(BadRequest, match="evaluator.generated: needs a task that draws samples"):
        evaluator(subject)
    subject.draw = lambda count, levels, random: torch.full((count, 3), math.nan)
    with pytest.raises(RunFailed, match="evaluator.generated: drawn samples: 5 of 5 rows"):
        evaluator(subject)


# --- the data ---------------------------------------------------------------------------------


def density(**fields: object) -> Dataset:
    return ppr.build("dataset", "planar_density", None, **fields).load()


def test_the_ring_has_its_means_and_deviation() -> None:
    data = density(train=16_000, test=10)
    assert data.digest == density(train=16_000, test=10).digest
    assert data.digest != density(train=16_000, test=10, split_seed=1).digest
    for mode in range(8):
        own = data.train.inputs[data.train.targets == mode].double()
        angle = 2 * math.pi * mode / 8
        centre = torch.tensor([0.6 * math.cos(angle), 0.6 * math.sin(angle)]).double()
        assert (own.mean(0) - centre).abs().max() < 5 * 0.06 / math.sqrt(len(own))
        assert own.std(0).tolist() == pytest.approx([0.06, 0.06], rel=0.08)


def test_the_checkerboard_has_only_black_fields() -> None:
    points = density(form="checkerboard", train=4000, test=10).train.inputs
    assert points.abs().max() <= 1
    fields = ((points + 1) * 2).floor().clamp(max=3).long()
    assert (fields.sum(1) % 2 == 0).all()
    assert len({tuple(field) for field in fields.tolist()}) == 8


# --- the study --------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("noise", ["lognormal", "uniform"])
def test_moments_are_those_of_quadrature(noise: str, power: int) -> None:
    low, high = math.log(teacher_lag.LOW), math.log(teacher_lag.HIGH)

    def weight(u: float) -> float:  # the density of log s, but for its constant
        return norm.pdf(u, -1.1, 2.0) if noise == "lognormal" else math.exp(u / 7)

    parts = [
        quad(lambda u, p=p: math.exp(-p * u) * weight(u), low, high, epsabs=0, limit=200)[0]
        for p in (power, 0)
    ]
    assert moment(noise, power) == pytest.approx(parts[0] / parts[1], rel=1e-8)


@pytest.mark.parametrize("noise", ["lognormal", "uniform"])
def test_a_lagging_teachers_gradient_grows_with_the_levels(noise: str) -> None:
    study = TeacherLag(None, noise=noise)
    found = study.measure()
    assert found["same"]["error"] < 0.01
    assert found["same"]["most"] < 1.05
    assert 1.9 < found["lagged"]["least"] <= found["lagged"]["most"] < 2.1
    # by hand at N = 3: two steps, z away
    s = [0.002 ** (1 / 7), 0, 80.0 ** (1 / 7)]
    s[1] = (s[0] + s[2]) / 2
    s = [value**7 for value in s]
    u = [norm.cdf(math.log(value), -1.1, 2.0) for value in s]
    total = 0.0
    for i in range(2):
        p = 0.5 if noise == "uniform" else (u[i + 1] - u[i]) / (u[2] - u[0])
        kept = 0.002 / s[i], 0.002 / s[i + 1]
        gap = kept[1] * 0.2 + (1 - kept[1]) * 1.3 - kept[0] * 0.2 - (1 - kept[0]) * 1.2
        total += p / (s[i + 1] - s[i]) * 2 * gap * (1 - kept[1])
    assert study.gradient(3, -0.1) == pytest.approx(total, rel=1e-10)
