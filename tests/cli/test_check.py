"""`ppr check --device` and the report on a GPU, on a CPU, where they show that they work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ppr.cli import check
from ppr.errors import BadRequest


def invoke(*words: str):
    return CliRunner().invoke(check.command, list(words), standalone_mode=False)


def test_steps_are_taken_in_each_way_and_studies_measure_once() -> None:
    words = ["supcon_digits", "sufficiency", "--device", "cpu", "--in", "fp32", "--in", "bf16"]
    done = invoke(*words)
    assert done.return_value == 0, done.output
    told = ["supcon_digits [fp32]: ok", "supcon_digits [bf16]: ok", "sufficiency [fp32]: ok"]
    assert done.output.splitlines() == told


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["supcon_digits", "--in", "bf16"], "--device, which is not given"),
        (["supcon_digits", "--device", "cuda:99"], "CUDA devices; use cpu"),
        (["supcon_digits", "--device", "gpu"], "not a device"),
    ],
)
def test_what_check_refuses(words: list[str], match: str) -> None:
    done = invoke(*words)
    assert isinstance(done.exception, BadRequest)
    assert match in str(done.exception)


def test_one_that_a_device_cannot_do_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    own = check.check_words

    def fails(words, *rest):
        if "simclr" in words[0]:
            raise RuntimeError("no kernel\nand a page of details")
        own(words, *rest)

    monkeypatch.setattr(check, "check_words", fails)
    done = invoke("simclr_digits", "ce_digits", "--device", "cpu", "--in", "fp32")
    assert done.return_value == 1
    assert "simclr_digits [fp32]: RuntimeError: no kernel\n" in done.output
    assert "ce_digits [fp32]: ok" in done.output


@pytest.mark.slow
def test_the_report_on_a_device_has_all_its_parts(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    out = tmp_path / "report.md"
    words = ["--device", "cpu", "--minutes", "1", "-o", str(out)]
    done = subprocess.run(
        [sys.executable, str(script), *words],
        check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    report = out.read_text()
    assert done.returncode == 0, report
    assert report.count("\n## ") == 7
    assert "the weights are the same bits" in report
    assert "failed:" not in report
