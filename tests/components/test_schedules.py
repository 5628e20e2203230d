"""Schedules against torch's schedulers and the reference repository's formulas."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import ppr
from ppr import registry
from ppr.errors import BadRequest

CONFIGS = Path(__file__).parents[2] / "configs"
EPOCH, EPOCHS = 7, 12
TOTAL = EPOCH * EPOCHS

# component: fields of a few representative schedules
SCHEDULES = {
    "constant": [{}],
    "cosine": [
        {"final": 0.1},
        {"span": "after_warmup"},
        {"every": "epoch", "final": 0.001},
    ],
    "step": [{"milestones": [0.5, 0.75]}, {"milestones": [6, 9], "unit": "epoch", "gamma": 0.2}],
}
CASES = [(name, fields) for name, several in SCHEDULES.items() for fields in several]


def torchs(make):
    """The factors of one of torch's schedulers over the run."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer step is taken between its steps
        for _ in range(TOTAL):
            factors.append(scheduler.get_last_lr()[0])
            scheduler.step()
    return factors


def test_every_component_has_a_row():
    assert set(registry.names("schedule")) == set(SCHEDULES)


@pytest.mark.parametrize(("name", "fields"), CASES)
@given(
    total=st.integers(1, 400),
    epoch=st.integers(1, 60),
    warmup=st.floats(0, 8),
    start=st.floats(0, 1),
)
def test_factor_is_a_pure_function_between_0_and_1(name, fields, total, epoch, warmup, start):
    schedule = ppr.build(
        "schedule", name, total, epoch, warmup_epochs=warmup, warmup_from=start, **fields
    )
    factors = [schedule(step) for step in range(total)]
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)
    assert [schedule(step) for step in reversed(range(total))] == factors[::-1]
    if round(warmup * epoch) > 0:
        assert factors[0] == start


@pytest.mark.parametrize(("name", "fields"), CASES)
def test_warmup_ends_on_the_schedule_and_leaves_the_rest_alone(name, fields):
    warmup = 3
    warm = ppr.build("schedule", name, TOTAL, EPOCH, warmup_epochs=float(warmup), **fields)
    end = warmup * EPOCH
    slope = warm(1) - warm(0)
    cold = ppr.build("schedule", name, TOTAL, EPOCH, **fields)
    # One more step of the line is where the schedule goes on; set once an epoch, as in the
    # reference, the line ends at the value of the warm-up's last epoch.
    goal = cold(end - 1) if fields.get("every") == "epoch" else warm(end)
    assert warm(end - 1) + slope == pytest.approx(goal, abs=1e-12)
    assert [warm(step + 1) - warm(step) for step in range(end - 1)] == pytest.approx(
        [slope] * (end - 1)
    )
    if fields.get("span") != "after_warmup":
        assert [warm(step) for step in range(end, TOTAL)] == [
            cold(step) for step in range(end, TOTAL)
        ]


@pytest.mark.parametrize("final", [0.0, 0.001, 0.3])
def test_cosine_is_torchs(final):
    schedule = ppr.build("schedule", "cosine", TOTAL, EPOCH, final=final)
    make = torch.optim.lr_scheduler.CosineAnnealingLR
    expected = torchs(lambda optimizer: make(optimizer, T_max=TOTAL, eta_min=final))
    assert [schedule(step) for step in range(TOTAL)] == pytest.approx(expected, abs=1e-9)
    assert schedule(TOTAL) == pytest.approx(final)


def test_cosine_after_warmup_is_torchs_in_sequence():
    warmup = 2 * EPOCH
    schedule = ppr.build(
        "schedule",
        "cosine",
        TOTAL,
        EPOCH,
        span="after_warmup",
        warmup_epochs=2.0,
        warmup_from=0.1,
        final=0.01,
    )
    library = torch.optim.lr_scheduler

    def make(optimizer):
        line = library.LinearLR(optimizer, start_factor=0.1, total_iters=warmup)
        cosine = library.CosineAnnealingLR(optimizer, T_max=TOTAL - warmup, eta_min=0.01)
        return library.SequentialLR(optimizer, [line, cosine], milestones=[warmup])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torchs(make)
    assert [schedule(step) for step in range(TOTAL)] == pytest.approx(expected, abs=1e-9)


def test_cosine_once_an_epoch_is_the_references():
    """The reference counts epochs from 1, warms up per step, then sets the rate once an epoch."""
    lr, warm_epochs, warmup_from = 0.5, 4, 0.01
    eta_min = lr * 0.1**3

    def at(epoch):
        return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2

    expected = []
    for epoch in range(1, EPOCHS + 1):
        for batch in range(EPOCH):
            if epoch <= warm_epochs:
                p = (batch + (epoch - 1) * EPOCH) / (warm_epochs * EPOCH)
                expected.append(warmup_from + p * (at(warm_epochs) - warmup_from))
            else:
                expected.append(at(epoch))
    schedule = ppr.build(
        "schedule",
        "cosine",
        TOTAL,
        EPOCH,
        every="epoch",
        final=0.001,
        warmup_epochs=float(warm_epochs),
        warmup_from=warmup_from / lr,
    )
    assert [lr * schedule(step) for step in range(TOTAL)] == pytest.approx(expected, abs=1e-12)
    assert lr * schedule(TOTAL - 1) == pytest.approx(eta_min)


@pytest.mark.parametrize(
    "fields",
    [
        {"milestones": [6, 9], "unit": "epoch", "gamma": 0.2},
        {"milestones": [0.5, 0.75], "unit": "run", "gamma": 0.2},
    ],
)
def test_step_is_torchs(fields):
    schedule = ppr.build("schedule", "step", TOTAL, EPOCH, **fields)
    make = torch.optim.lr_scheduler.MultiStepLR
    expected = torchs(lambda optimizer: make(optimizer, [6 * EPOCH, 9 * EPOCH], gamma=0.2))
    assert [schedule(step) for step in range(TOTAL)] == pytest.approx(expected, abs=1e-12)


def test_constant_is_constant():
    schedule = ppr.build("schedule", "constant", TOTAL, EPOCH)
    assert {schedule(step) for step in range(TOTAL)} == {1.0}


def test_epochs_as_fractions_are_refused():
    with pytest.raises(BadRequest, match="unit=epoch"):
        ppr.build("schedule", "step", TOTAL, EPOCH, milestones=[6, 9])


def test_presets_build():
    presets = sorted((CONFIGS / "schedule").rglob("*.yaml"))
    assert presets
    for preset in presets:
        fields = yaml.safe_load(preset.read_text())
        assert callable(ppr.build("schedule", fields.pop("name"), TOTAL, EPOCH, **fields))
