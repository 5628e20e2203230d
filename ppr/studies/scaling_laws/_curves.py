"""The published loss curves and their schedules (dataset=loss_curves), as src/data_loader.py and
src/lr_schedules.py of thu-yao-01-luo/MultiPowerLaw at 8da9f19 have them.

The rate rises linearly from 0 to 3e-4 in 2160 steps of warm-up. A curve that reaches step 24,000
ends one evaluation before it.
"""

from __future__ import annotations

import re

import numpy as np

from ppr.scaling.fit import Array
from ppr.studies.published import Table

WARMUP = 2160
PEAK, END = 3e-4, 3e-5
TWO_STAGES, FIRST_STAGE = 16_000, 8000
DECAY = 20_000
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
TESTED = (
    "constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3",
    "wsdcon_18",
)  # fmt: skip


def rates(name: str) -> Array:
    """The schedule that a curve is named after, [T]: its kind, then steps or a last rate in 1e-5.

    `wsd` decays exponentially and `wsdld` linearly from step 20,000; `wsdcon` is of two stages.
    """
    kind = name.split("_", maxsplit=1)[0]
    *_, last = map(int, re.findall(r"\d+", name))
    steps = TWO_STAGES if kind == "wsdcon" else last
    t = np.arange(WARMUP, steps)
    gone = np.clip((t - DECAY) / max(steps - DECAY, 1), 0, None)
    after = {
        "constant": np.full(len(t), PEAK),
        "cosine": END + 0.5 * (PEAK - END) * (1 + np.cos(np.pi * (t - WARMUP) / (steps - WARMUP))),
        "wsd": PEAK ** (1 - gone) * END**gone,
        "wsdld": PEAK * (1 - gone) + END * gone,
        "wsdcon": np.where(t < FIRST_STAGE, PEAK, last * 1e-5),
    }[kind]
    return np.concatenate([np.linspace(0, PEAK, WARMUP), after])


def curve(table: Table, size: str, name: str) -> tuple[Array, Array, Array]:
    """A schedule [T], the steps at which losses were measured [N], and these [N]."""
    rows = (table["size"] == size) & (table["schedule"] == name)
    steps, losses = (table[key][rows].astype(np.float64) for key in ("step", "loss"))
    kept = steps < 24_000 if steps.max() == 24_000 else np.full(len(steps), True)
    return rates(name), steps[kept], losses[kept]
