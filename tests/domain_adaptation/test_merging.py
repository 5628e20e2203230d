"""Merging: Fisher information one example at a time, the mode of a product of posteriors, parts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.checkpoints import load_weights
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.tasks.fisher import diagonal_fisher


def test_diagonal_fisher_is_the_mean_over_examples_and_classes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs = torch.randn(7, 3, dtype=torch.float64)
    parameters = dict(network.named_parameters())
    expected = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for x in inputs:
        log_p = network(x).log_softmax(0)
        for y in range(3):
            slopes = torch.autograd.grad(log_p[y], list(parameters.values()), retain_graph=True)
            weight = log_p[y].exp().detach() / len(inputs)
            for name, slope in zip(parameters, slopes, strict=True):
                expected[name] += weight * slope**2
    found = diagonal_fisher(network, parameters, inputs)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected)


def test_merged_fits_are_the_joint_fit_where_the_theory_says_so() -> None:
    found = execute(compose(["experiment=fisher_linear"]))["metrics"]["error"]
    assert max(found["full"], found["orthogonal"], found["weighted"]) < 1e-10
    assert min(found["diagonal"], found["mean"], found["average"]) > 1e-3


def test_a_part_is_some_classes_of_one_share() -> None:
    whole = ppr.build("dataset", "digits", None).load()
    shares = [
        ppr.build("dataset", "part", None, validation=297, cut=300, take=take).load()
        for take in ("cut", "rest")
    ]
    assert [len(share.train) for share in shares] == [300, 700]
    joint = torch.cat([share.train.inputs for share in shares]).flatten(1).sum(0)
    assert torch.equal(joint, whole.train.inputs.flatten(1).sum(0))
    some = ppr.build("dataset", "part", None, validation=297, classes=[2, 7]).load()
    assert set(some.train.targets.tolist()) == {2, 7}
    assert len(some.train) == int(torch.isin(whole.train.targets, torch.tensor([2, 7])).sum())
    assert torch.equal(some.test.inputs, whole.test.inputs)
    assert some.mean == whole.mean
    assert some.digest != whole.digest
    with pytest.raises(BadRequest, match=r"dataset.classes=\[10\]: digits has the classes 0 to 9"):
        ppr.build("dataset", "part", None, classes=[10])
    with pytest.raises(BadRequest, match=r"dataset.cut=1000: must be less than 1000"):
        ppr.build("dataset", "part", None, validation=297, cut=1000).load()


@pytest.fixture
def merged() -> Any:
    """Runs the merging of two fine-tuned models; its summary and the three state dicts."""

    def run(*words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        config = compose(["experiment=merge_overlap_digits", *words])
        fine = {
            name: compose(["experiment=merge_finetuned_digits", f"dataset.classes=[{classes}]"])
            for name, classes in (("a", "0,1,2,3,4,5,6"), ("b", "3,4,5,6,7,8,9"))
        }
        summary = execute(config, Watcher())
        folders = [c.folder for c in (*fine.values(), config)]
        return summary, [load_weights(folder / "model.pt") for folder in folders]

    return run


def test_average_fisher_and_ensemble(merged: Any) -> None:
    summary, (a, b, mean) = merged("task.method=average", "task.coefficient=0.25")
    for name in a:
        torch.testing.assert_close(mean[name], 0.25 * a[name] + 0.75 * b[name])
    assert summary["metrics"]["merge"]["coefficient"] == 0.25
    fisher, (_, _, between) = merged()
    changed = 0
    for name in a:
        low, high = torch.minimum(a[name], b[name]), torch.maximum(a[name], b[name])
        assert ((between[name] >= low - 1e-6) & (between[name] <= high + 1e-6)).all()
        changed += int(((between[name] - (a[name] + b[name]) / 2).abs() > 1e-4).sum())
    assert changed > 100
    flat, (_, _, equal) = merged("task.floor=1e6")
    for name in a:
        torch.testing.assert_close(equal[name], (a[name] + b[name]) / 2)
    chosen, _ = merged("task.coefficient=null")
    assert chosen["metrics"]["classifier"]["top1"] > 0.5
    both, _ = merged("task.method=ensemble")
    assert both["metrics"]["classifier"]["top1"] > 0.5
    assert fisher["metrics"]["classifier"]["top1"] > flat["metrics"]["classifier"]["top1"]
    with pytest.raises(BadRequest, match="an ensemble needs one"):
        merged("task.method=ensemble", "task.coefficient=null")
    with pytest.raises(BadRequest, match=r"inputs.a: another architecture"):
        merged("model.hidden=[32]")
