"""What is asked for in vain is refused before any data are read, and before any training."""

from __future__ import annotations

import pytest

from ppr.config.compose import compose
from ppr.data.vision.digits import Digits
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench

DIGITS = ["experiment=ce_digits", "engine.device=cpu", "model=mlp", "model.hidden=[8]"]
NORMALISED = ["model.batch_norm=true"]
REFUSED = [
    (["engine.batch_size=9", "engine.accumulate=4"], "accumulate=4: a batch of 9 .*use 1 or 3"),
    (["engine.batch_size=8", "engine.accumulate=100"], "engine.accumulate=100: .*use 4 or 8"),
    (["engine.batch_size=5000"], r"=5000: larger than the training split \(\d+\)"),
    (["dataset.validation=0"], "'digits' has no validation split; hold one out"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_a_run_is_refused_before_its_data_are_read(words, said, monkeypatch):
    monkeypatch.setattr(Digits, "load", lambda self: pytest.fail("the data were read"))
    with pytest.raises(BadRequest, match=said):
        execute(compose([*DIGITS, *words]))


def open_loop(tmp_path, *words: str) -> Loop:
    bench = open_bench(compose([*DIGITS, *words]), tmp_path, Watcher())
    return Loop(make_task(bench), bench)


@pytest.mark.parametrize(
    "words",
    [["engine.batch_size=1"], ["engine.batch_size=65", "engine.micro_batch=64"],
     ["engine.batch_size=64", "engine.accumulate=64"]],
)  # fmt: skip
def test_batch_norm_is_not_given_one_sample(words, tmp_path):
    with pytest.raises(BadRequest, match="batch norm would be given a part of one sample"):
        open_loop(tmp_path, *words, *NORMALISED)


@pytest.mark.parametrize("words", [[], ["experiment=supcon_digits", *NORMALISED]])
def test_one_sample_will_do_where_it_is_not_normalised_alone(words, tmp_path):
    """Without batch norm; or with a second view beside it."""
    loop = open_loop(tmp_path, *words, "engine.batch_size=1")
    loop.update(next(iter(loop.batches.epoch(0))))
    assert loop.meter.steps == 1


@pytest.mark.parametrize(
    "words",
    [["loss=ohem"], ["loss=focal", "loss.per=foreground"], ["loss=ldam", "loss.reweight=always"]],
)
def test_a_loss_that_is_no_mean_is_not_cut(words, tmp_path):
    with pytest.raises(BadRequest, match="engine.accumulate=2: the loss is not a mean"):
        open_loop(tmp_path, *words, "engine.batch_size=64", "engine.accumulate=2")


@pytest.mark.parametrize("final", ["0", "0.001"])
def test_a_schedule_that_learns_nothing_is_not_kept_quiet(final, tmp_path, caplog):
    """One epoch at a rate that is set once an epoch, by the epoch's end: the final rate."""
    words = ["schedule=cosine", "schedule.every=epoch", f"schedule.final={final}"]
    if final == "0":
        with pytest.raises(BadRequest, match="the learning rate is 0 at each of the"):
            open_loop(tmp_path, *words, "engine.epochs=1")
    else:
        open_loop(tmp_path, *words, "engine.epochs=1")
        assert "the learning rate is never above 0.001 of optimizer.lr" in caplog.text
    caplog.clear()
    open_loop(tmp_path, *words, "engine.epochs=3")
    assert not caplog.records


@pytest.mark.parametrize(("decay", "warned"), [(0.5, False), (0.999, True)])
def test_an_average_that_is_mostly_the_start_says_so(decay, warned, caplog):
    words = ["engine.max_steps=20", "engine.evaluate_every=0", "evaluator=[classifier]"]
    summary = execute(compose([*DIGITS, *words, f"engine.ema_decay={decay}"]))
    assert ("98 % of the average" in caplog.text) == warned
    assert summary["protocol"]["ema_decay"] == decay
    share = summary["protocol"]["untrained share of the average"]
    assert share == pytest.approx(decay ** summary["protocol"]["steps"])


def test_an_average_that_never_moves_is_refused():
    with pytest.raises(BadRequest, match="engine.ema_decay=1"):
        compose([*DIGITS, "engine.ema_decay=1"])


@pytest.mark.parametrize("key", ["data.root", "results.root", "tracker.project", "tracker.tags"])
def test_a_password_is_refused_before_a_config_is_written(key):
    url = "https://someone:hunter2@host.org/x"
    value = f'["{url}"]' if key == "tracker.tags" else f'"{url}"'
    with pytest.raises(BadRequest, match="must have no name or password in a URL") as refused:
        compose(["tracker=wandb", f"{key}={value}"])
    assert "hunter2" not in str(refused.value)
    compose(["tracker=wandb", f"{key}={value.replace('someone:hunter2@', '')}"])
