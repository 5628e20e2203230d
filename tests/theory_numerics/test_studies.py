"""Studies: their numbers against the papers' closed forms, worked out here by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ppr.config.compose import compose
from ppr.data.vision.digits import Digits
from ppr.engine.bench import Watcher
from ppr.launchers.execute import execute
from ppr.losses.classification_loss.focal import FocalLoss
from ppr.studies.study import Study

STUDIES = ("focal_formula", "apl_symmetry")


def measured(*words: str) -> dict[str, float]:
    (metrics,) = execute(compose(words), Watcher())["metrics"].values()
    return dict(metrics)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_a_run_like_any_other(name: str, own_folders: Path) -> None:
    config = compose([f"experiment={name}", "seed=3"])
    summary = execute(config)
    folder = own_folders / "results" / name / config.variant / "seed=3"
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert execute(config) == summary
    assert all(math.isfinite(v) for part in summary["metrics"].values() for v in part.values())


def test_study_measures_when_checked() -> None:
    class Counted(Study):
        calls = 0

        def measure(self) -> dict[str, dict[str, float]]:
            self.calls += 1
            return {"count": {"calls": float(self.calls)}}

    study = Counted(None)  # type: ignore[arg-type]
    study.check()
    assert study.execute().metrics == {"count": {"calls": 2.0}}


def test_focal_formula() -> None:
    found = measured("experiment=focal_formula")
    assert found["ratio_0.9"] == pytest.approx(1 / 0.1**2, rel=1e-12)
    assert found["ratio_0.968"] == pytest.approx(1 / 0.032**2, rel=1e-12)
    assert found["ratio_gamma_0"] == pytest.approx(2, rel=1e-12)


def test_focal_formula_measures_the_loss_that_runs_use(monkeypatch: pytest.MonkeyPatch) -> None:
    right = FocalLoss.forward
    monkeypatch.setattr(FocalLoss, "forward", lambda self, *given: 3 * right(self, *given))
    assert measured("experiment=focal_formula")["ratio_0.9"] == pytest.approx(100 / 3)


@pytest.mark.parametrize("loss", ["nce", "nfl loss.alpha=1"])
@pytest.mark.parametrize("classes", [2, 10])
def test_normalised_losses_are_symmetric(loss: str, classes: int) -> None:
    words = (f"loss={loss}".split(), f"task.classes={classes}", "task.samples=20")
    found = measured("experiment=apl_symmetry", *words[0], *words[1:])
    assert found["sum"] == pytest.approx(1, rel=1e-12)
    assert found["risk_error"] < 1e-12


def test_mae_is_symmetric_with_another_constant() -> None:
    """sum_k (1 - p_k) = K - 1, so the affine function misses by (K - 2) eta / (K - 1)."""
    found = measured("experiment=apl_symmetry", "loss=mae", "task.samples=20", "task.noise=0.3")
    assert found["sum"] == pytest.approx(9, rel=1e-12)
    assert found["risk_error"] == pytest.approx(8 * 0.3 / 9, rel=1e-9)


def test_cross_entropy_is_not_symmetric() -> None:
    found = measured("experiment=apl_symmetry", "loss=cross_entropy", "task.samples=20")
    assert found["sum"] > 10 * math.log(10)  # least where all classes are as likely
    assert found["risk_error"] > 1


def test_symmetry_needs_two_classes_and_a_loss() -> None:
    from ppr.errors import BadRequest

    with pytest.raises(BadRequest, match=r"task\.classes=1: must be 2 or more"):
        measured("experiment=apl_symmetry", "task.classes=1")
    with pytest.raises(BadRequest, match="loss"):
        measured("experiment=apl_symmetry", "loss=null")


def test_first_loss_is_that_of_the_runs_first_step(own_folders: Path) -> None:
    """What a training run logs at its first step, with the same config and seed."""
    words = ["experiment=apl_digits", "loss=cross_entropy", "seed=2"]
    found = measured(*words, "task=first_loss")
    config = compose([*words, "engine.max_steps=1", "engine.evaluate_every=0"])
    execute(config)
    folder = own_folders / "results" / "apl_digits" / config.variant / "seed=2"
    first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert (first["step"], first["train/loss"]) == (1, pytest.approx(found["loss"], rel=1e-6))


def test_prior_head_starts_at_the_prior() -> None:
    import ppr

    for classes in (2, 5):
        head = ppr.build("head", "linear_prior", 7, classes, prior=0.01)
        p = head(torch.zeros(1, 7)).softmax(1)[0]
        assert p[0].item() == pytest.approx(0.99, rel=1e-6)
        assert p[1:].tolist() == pytest.approx([0.01 / (classes - 1)] * (classes - 1), rel=1e-5)


@pytest.mark.parametrize(("classes", "prior"), [(2, 0.0), (2, 1.0), (1, 0.5)])
def test_prior_head_refuses_what_has_no_logarithm(classes: int, prior: float) -> None:
    import ppr
    from ppr.errors import BadRequest

    with pytest.raises(BadRequest):
        ppr.build("head", "linear_prior", 7, classes, prior=prior)


def test_prior_makes_the_first_loss_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits as foreground among nine tenths of zeros: log 2 a sample without the prior."""
    plain: Any = Digits.load

    def binary(self: Digits) -> Any:
        data = plain(self)
        data.train.targets.fill_(0)
        return data

    monkeypatch.setattr(Digits, "load", binary)
    words = ["experiment=apl_digits", "task=first_loss", "loss=cross_entropy"]
    zero, prior = (measured(*words, f"head={head}")["loss"] for head in ("linear", "linear_prior"))
    assert zero > 10 * prior
