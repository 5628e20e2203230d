"""Losses and gradients that are not finite: what a step leaves that is not taken, what is said."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from ppr.config.compose import compose
from ppr.engine.bench import Bench, Watcher
from ppr.engine.buffers import buffers_kept
from ppr.engine.loop import Loop
from ppr.engine.soundness import DEAD_AFTER
from ppr.errors import RunFailed
from ppr.launchers.execute import execute
from ppr.results import tree
from ppr.run import make_task, open_bench

TINY = ["experiment=ce_digits", "model=mlp", "model.hidden=[16]", "model.batch_norm=true",
        "augment=none", "engine.batch_size=100", "engine.epochs=3", "engine.device=cpu",
        "engine.log_every=4", "engine.evaluate_every=0", "evaluator=[classifier]"]  # fmt: skip
SKIP = "engine.nonfinite=skip"


class Steep(torch.autograd.Function):
    """The identity, with a slope that is infinite."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad * float("inf")


def nan(loss: Tensor) -> Tensor:
    return loss * float("nan")


steep = Steep.apply


def open_loop(tmp_path, *words: str) -> Loop:
    bench = open_bench(compose([*TINY, *words]), tmp_path, Watcher())
    return Loop(make_task(bench), bench)


def spoil(loop: Loop, spoils, *steps: int) -> None:
    """Let the loss of some steps, counted from 1, come out other than it is."""
    own = loop.task.loss

    def loss(outputs, batch):
        values = own(outputs, batch)
        spoiled = loop.step + 1 in steps
        return values | {"loss": spoils(values["loss"])} if spoiled else values

    loop.task.loss = loss


def state_of(loop: Loop) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in loop.task.state_dict().items()}


@pytest.mark.parametrize("spoils", [nan, steep])
@pytest.mark.parametrize(
    "more",
    [[], ["engine.clip_norm=1"], ["engine.accumulate=2"], ["engine.micro_batch=30"],
     ["optimizer=sam", "optimizer.lr=0.1"], ["engine.precision=fp16"], ["engine.ema_decay=0.5"]],
    ids=" ".join,
)  # fmt: skip
def test_a_skipped_step_leaves_no_trace(spoils, more, tmp_path):
    loop = open_loop(tmp_path, SKIP, *more)
    spoil(loop, spoils, 3)
    batches = iter(loop.batches.epoch(0))
    loop.task.train()
    for _ in range(2):
        loop.update(next(batches))
        loop.step += 1
    before, steps = state_of(loop), loop.meter.steps
    average = {k: v.clone() for k, v in loop.ema.average.items()} if loop.ema else {}
    state = json.dumps(repr(loop.optimizer.state_dict()))
    loop.update(next(batches))
    loop.step += 1
    assert all(torch.equal(value, before[key]) for key, value in loop.task.state_dict().items())
    assert all(torch.equal(loop.ema.average[key], value) for key, value in average.items())
    assert json.dumps(repr(loop.optimizer.state_dict())) == state
    assert (loop.skipped, loop.meter.steps) == (1, steps)
    loop.update(next(batches))
    assert any(not torch.equal(v, before[k]) for k, v in loop.task.state_dict().items())


def test_a_bad_row_does_not_poison_batch_norm(tmp_path):
    """The mean of a batch with one NaN is NaN for good, in a buffer that no loss checks."""
    loop = open_loop(tmp_path, SKIP)
    loop.batches.inputs_here = loop.batches.inputs_here.float()
    loop.batches.inputs_here[7] = float("nan")
    loop.fit(lambda epoch: None)
    assert loop.skipped == 3  # once an epoch
    assert all(value.isfinite().all() for value in loop.task.state_dict().values())


def test_steps_that_the_scaler_skips_are_counted_and_leave_no_trace(tmp_path):
    loop = open_loop(tmp_path, "engine.precision=fp16", "engine.ema_decay=0.5")
    loop.scaler.load_state_dict(loop.scaler.state_dict() | {"scale": 2.0**127})
    before, average = state_of(loop), dict(loop.ema.average)
    loop.task.train()
    loop.update(next(iter(loop.batches.epoch(0))))
    assert loop.skipped == 1
    assert loop.scaler.get_scale() == 2.0**126
    assert all(torch.equal(value, before[key]) for key, value in loop.task.state_dict().items())
    assert all(torch.equal(value, average[key]) for key, value in loop.ema.average.items())


@pytest.mark.parametrize("more", [[], ["engine.clip_norm=1"], ["optimizer=lars", "optimizer.lr=1"]])
@pytest.mark.parametrize(("spoils", "what"), [(nan, "loss"), (steep, "gradient")])
def test_the_step_is_named_whose_gradient_is_not_finite(spoils, what, more, tmp_path):
    loop = open_loop(tmp_path, *more, "engine.log_every=9")
    spoil(loop, spoils, 5)
    with pytest.raises(RunFailed, match=f"^the {what} is not finite at step 5 "):
        loop.fit(lambda epoch: None)


def test_the_second_loss_of_two_passes_is_looked_at(tmp_path):
    loop = open_loop(tmp_path, "optimizer=sam", "optimizer.lr=0.1", SKIP)
    own, losses = loop.task.loss, []

    def loss(outputs, batch):
        values = own(outputs, batch)
        losses.append(values["loss"])
        shift = float("inf") if len(losses) == 2 else 0.0
        return values | {"loss": values["loss"] + shift}

    loop.task.loss = loss
    before = state_of(loop)
    loop.task.train()
    loop.update(next(iter(loop.batches.epoch(0))))
    assert len(losses) == 2
    assert loop.skipped == 1
    assert all(torch.equal(value, before[key]) for key, value in loop.task.state_dict().items())


def test_a_run_that_skips_all_its_steps_says_so():
    config = compose([*TINY, SKIP, "optimizer=sgd", "optimizer.lr=1e10"])
    with pytest.raises(RunFailed, match=r"^every step from step \d to 30 was skipped: .*e\+09\)"):
        execute(config)
    assert not (config.folder / tree.SUMMARY).exists()


def test_a_long_run_does_not_wait_for_its_end_to_say_so(tmp_path):
    loop = open_loop(tmp_path, SKIP, "engine.epochs=30")
    spoil(loop, nan, *range(11, 400))
    with pytest.raises(RunFailed, match=f"^every step from step 11 to {10 + DEAD_AFTER} was"):
        loop.fit(lambda epoch: None)


def test_whatever_a_forward_pass_writes_is_undone():
    """Also what is put in a buffer's place, and what spectral norm iterates."""

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))
            self.norm = nn.BatchNorm1d(3)
            self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            self.seen = self.seen + len(x)
            return self.layer(self.norm(x))

    module = Counts()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    module(x)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with buffers_kept(module):
        first = module(x)
        written = {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}
    assert {"seen", "norm.running_mean", "norm.num_batches_tracked"} < written
    assert any("spectral" in key or "_u" in key for key in written)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(module(x), first)


def test_cached_gradients_of_spectral_norm_are_those_of_one_pass(tmp_path):
    """The pass without a graph must not move the vectors that the second one starts from."""
    words = ["engine.batch_size=64", "engine.micro_batch=32", "model.batch_norm=false"]
    loop = open_loop(tmp_path, *words)
    layer = next(part for part in loop.task.encoder.modules() if isinstance(part, nn.Linear))
    nn.utils.parametrizations.spectral_norm(layer)
    loop.task.train()
    batch = next(iter(loop.batches.epoch(0)))
    before = state_of(loop)
    loop.backward(batch)
    found = {name: p.grad.clone() for name, p in loop.task.named_parameters()}
    loop.task.load_state_dict(before)
    loop.task.zero_grad()
    inputs = loop.task.prepare(batch, loop.random)
    outputs = torch.cat([loop.task(part) for part in inputs.split(32)])
    loop.task.loss(outputs, batch)["loss"].backward()
    for name, parameter in loop.task.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


# --- metrics that are undefined ---------------------------------------------------------------


class Scripted:
    """An evaluator that gives what it is told, time after time, and then 1."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def __call__(self, subject) -> dict[str, float]:
        return {"m": self.values.pop(0) if self.values else 1.0, "other": 7.0}


def monitored(monkeypatch, path: str, *values: float) -> dict:
    evaluator = Scripted(*values)
    monkeypatch.setattr(Bench, "evaluators", lambda self: {"classifier": evaluator})
    words = ["engine.epochs=4", "engine.evaluate_every=1", f"engine.monitor={path}"]
    return execute(compose([*TINY, *words]), force=True)


NAN = float("nan")


@pytest.mark.parametrize(
    ("path", "values", "epoch"),
    [
        ("classifier/m", (NAN, 2.0, 3.0, 4.0), 4),
        ("classifier/m", (NAN, 2.0, NAN, 1.0), 2),
        ("-classifier/m", (float("inf"), NAN, 3.0, 4.0), 3),
    ],
)
def test_an_undefined_value_is_never_the_best(path, values, epoch, monkeypatch):
    best = monitored(monkeypatch, path, *values)["best"]
    assert (best["epoch"], best["value"]) == (epoch, values[epoch - 1])


def test_a_metric_that_is_never_defined_leaves_the_others_in(monkeypatch, caplog):
    summary = monitored(monkeypatch, "classifier/m", *[NAN] * 5)
    assert summary["best"] is None
    assert summary["metrics"] == {"classifier": {"other": 7.0}}
    assert "evaluator.classifier: m: not a finite number on the test split" in caplog.text


def test_a_split_without_a_tail_has_no_accuracy_of_the_tail():
    words = ["evaluator=[classifier,classwise_accuracy]", "dataset.test=3", "dataset.validation=0"]
    metrics = execute(compose([*TINY, *words, "engine.epochs=1"]))["metrics"]
    assert "tail" not in metrics["classwise_accuracy"]
    assert {"balanced", "worst"} < set(metrics["classwise_accuracy"])
    assert "top1" in metrics["classifier"]
