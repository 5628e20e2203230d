"""A run that is broken off in a process that lives on, and gone on with in the same."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from killing import KilledAt

from ppr.config.compose import compose
from ppr.launchers.execute import execute


def test_lines_of_one_broken_off_do_not_reach_the_log_of_who_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    words = ["experiment=ce_digits", "model=mlp", "augment=none", "engine.epochs=3"]
    words += ["engine.log_every=1", "engine.evaluate_every=0", "engine.checkpoint_seconds=1000"]
    config = compose(words)
    try:
        execute(config, KilledAt(6))
    except KeyboardInterrupt as broken_off:
        held = broken_off  # its traceback holds the loop, and with it the open log
    execute(config)
    log = config.folder / "metrics.jsonl"
    before = log.read_bytes()
    held.__traceback__ = None
    del held
    gc.collect()
    assert log.read_bytes() == before
