"""Masks: straight-through scores, exact sparsity, rewinding, tickets, exact resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench
from ppr.tasks.masks import Mask, MaskedLayers, signed_constant
from tests.killing import KilledAt

SMALL = ["model.hidden=[24]", "dataset.limit=200", "engine.epochs=4", "task.keep=0.1",
         "engine.log_every=1", "engine.checkpoint_seconds=0"]  # fmt: skip


def test_scores_get_the_gradient_of_the_mask() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3)
    mask = Mask(weight, scored=True)
    mask.alive[0] = False
    masked = mask(weight)
    expected = weight * (mask.score > 0.5)
    expected[0] = 0
    torch.testing.assert_close(masked, expected)
    outer = torch.randn(4, 3)
    (masked * outer).sum().backward()
    torch.testing.assert_close(mask.score.grad, outer * weight * mask.alive)


def test_the_kept_are_the_best_of_all_layers_together() -> None:
    network = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    layers = MaskedLayers(network, seed=1)
    scores = [torch.rand(5, 6), torch.rand(4, 5)]
    layers.keep(scores, 0.4)
    bound = torch.cat([s.flatten() for s in scores]).sort(descending=True).values[19]
    for mask, score in zip(layers.masks, scores, strict=True):
        assert torch.equal(mask.alive, score >= bound)
    layers.keep([-s for s in scores], 0.2)  # what is gone does not come back
    assert layers.kept == pytest.approx(0.2)
    assert all(
        (score[mask.alive] >= bound).all() for mask, score in zip(layers.masks, scores, strict=True)
    )
    weight = layers.weights[0]
    torch.testing.assert_close(weight.abs(), torch.full_like(weight, (2 / 6) ** 0.5))
    assert not torch.equal(signed_constant(weight, 1, 0), signed_constant(weight, 2, 0))
    assert network[0].bias.requires_grad is False


def done(*words: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    config = compose([*words])
    summary = execute(config, Watcher())
    return summary["metrics"], torch.load(config.folder / "model.pt")


def test_mining_ends_at_its_sparsity_with_weights_as_drawn() -> None:
    metrics, state = done("experiment=mine_digits", *SMALL)
    total = 64 * 24 + 24 * 10
    assert metrics["mask"]["kept"] == round(0.1 * total) / total
    for name, tensor in state.items():
        if name.endswith("original"):
            assert tensor.abs().unique().numel() == 1
        if name.endswith("score"):
            assert tensor.min() >= 0
            assert tensor.max() <= 1
    assert metrics["classifier"]["top1"] > 0.2


def test_iterative_pruning_rewinds_and_its_ticket_takes_the_mask() -> None:
    words = ["experiment=imp_digits", *SMALL, "task.cycles=2"]
    metrics, found = done(*words)
    total = 64 * 24 + 24 * 10
    assert metrics["mask"]["kept"] == round(0.1 * total) / total
    starts = [t for n, t in found.items() if n.endswith("original")]
    assert all(t.abs().unique().numel() == 1 for t in starts)
    said = " ".join(words)
    own = [word for word in SMALL if "keep" not in word]
    for mask in ("found", "shuffled"):
        task = ["experiment=ticket_digits", *own, f"task.mask={mask}", f"inputs.mask='{said}'"]
        ticket, state = done(*task)
        assert ticket["mask"]["kept"] == metrics["mask"]["kept"]
        for name, alive in state.items():
            if not name.endswith("alive"):
                continue
            assert alive.sum() == found[name].sum()
            assert torch.equal(alive, found[name]) == (mask == "found")
            weight = state[name.replace("0.alive", "original")]
            start = found[name.replace("0.alive", "original")]
            moved = weight != start
            assert moved.any() == alive.any()
            if mask == "found":
                assert not moved[~alive].any()
    with pytest.raises(BadRequest, match="no mask for this network"):
        done("experiment=ticket_digits", *own, "model.hidden=[8]", f"inputs.mask='{said}'")


def test_snip_keeps_the_greatest_products_of_weight_and_slope(tmp_path: Path) -> None:
    config = compose(["experiment=sparse_digits", *SMALL, "task.mask=snip"])
    task = make_task(open_bench(config, tmp_path, Watcher()))
    scores = task._scores()
    train = task.bench.dataset.train
    step = 1e-3
    weight = task.layers.weights[1]

    def loss() -> float:
        logits = task(task.augment.plain(train.inputs))
        return float(nn.functional.cross_entropy(logits.detach().double(), train.targets))

    for row, column in ((0, 0), (3, 5), (9, 20)):
        at = weight.data[row, column].item()
        weight.data[row, column] = at + step
        up = loss()
        weight.data[row, column] = at - step
        down = loss()
        weight.data[row, column] = at
        expected = abs(at * (up - down) / (2 * step))
        assert scores[1][row, column].item() == pytest.approx(expected, rel=0.05, abs=1e-4)


@pytest.mark.parametrize("experiment", ["mine_digits", "imp_digits"])
def test_a_killed_search_ends_with_the_same_bits(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["task.cycles=2"] if experiment == "imp_digits" else []
    found = []
    for name, kills in (("whole", ()), ("killed", (5, 8))):
        monkeypatch.setenv("PPR_RESULTS", str(tmp_path / name))
        config = compose([f"experiment={experiment}", *SMALL, *own])
        for step in kills:
            with pytest.raises(KeyboardInterrupt):
                execute(config, KilledAt(step))
        execute(config)
        found.append(torch.load(config.folder / "model.pt"))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])
