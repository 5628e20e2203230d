"""Distillation: teachers from the results tree and from the student's own past."""

from __future__ import annotations

import math
import shutil

import pytest
import torch
from subjects import of_tensors

import ppr
from ppr.config.compose import compose
from ppr.engine.bench import Watcher
from ppr.engine.loop import Loop
from ppr.errors import BadRequest
from ppr.launchers.execute import execute
from ppr.run import make_task, open_bench
from tests.killing import KilledAt
from tests.losses.vectors import softmax

BRIEF = ["engine.device=cpu", "engine.epochs=3", "engine.batch_size=100", "engine.log_every=1",
         "dataset.limit=null"]  # fmt: skip
FROM_RUN = ["experiment=pld_digits", *BRIEF,
            "inputs.teacher='experiment=teacher_digits engine.epochs=1'"]  # fmt: skip
FROM_PAST = ["experiment=ps_kd_digits", *BRIEF, "engine.checkpoint_seconds=0"]


def weights(words: list[str], watcher: Watcher | None = None) -> dict[str, torch.Tensor]:
    config = compose(words)
    execute(config, watcher)
    return torch.load(config.folder / "model.pt", weights_only=True)


def loop_of(words: list[str], folder) -> Loop:
    bench = open_bench(compose(words), folder, Watcher())
    torch.manual_seed(0)
    loop = Loop(make_task(bench), bench)
    loop.task.train()
    return loop


def test_the_teacher_is_that_run_and_stays_as_it_is(tmp_path) -> None:
    student = weights(FROM_RUN)
    teacher = weights(["experiment=teacher_digits", "engine.device=cpu", "engine.epochs=1"])
    assert set(student) == {f"{part}.{kind}" for part in ("encoder.1", "classifier")
                            for kind in ("weight", "bias")}  # fmt: skip
    loop = loop_of(FROM_RUN, tmp_path)
    batch = next(iter(loop.batches.epoch(0)))
    for _ in range(2):
        inputs = loop.task.prepare(batch, loop.random)
        hidden = inputs.flatten(1)
        for layer in (1, 3):
            w, b = teacher[f"encoder.{layer}.weight"], teacher[f"encoder.{layer}.bias"]
            hidden = (hidden @ w.T + b).relu()
        expected = hidden @ teacher["classifier.weight"].T + teacher["classifier.bias"]
        outputs = loop.task(inputs)
        torch.testing.assert_close(outputs[:, 1], expected)
        loop.update(batch)
    assert loop.task.eval()(inputs).shape == (100, 10)


def test_a_teacher_of_another_shape_is_refused() -> None:
    execute(compose(["experiment=teacher_digits", "engine.device=cpu", "engine.epochs=1"]))
    config = compose([*FROM_RUN])
    path = compose(["experiment=teacher_digits", "engine.device=cpu",
                                  "engine.epochs=1"]).folder / "model.pt"  # fmt: skip
    saved = torch.load(path, weights_only=True)
    torch.save({k: v[..., :5] for k, v in saved.items()}, path)
    with pytest.raises(BadRequest, match=r"inputs\.teacher: its encoder does not fit"):
        execute(config)


def test_the_past_is_the_student_at_the_end_of_the_epoch_before(tmp_path) -> None:
    loop = loop_of(FROM_PAST, tmp_path)
    student = loop.task._student()
    ends = [{k: v.clone() for k, v in student.state_dict().items()}]
    shares = []
    for epoch in range(3):
        for batch in loop.batches.epoch(epoch):
            loop.update(batch)
            loop.step += 1
            shares.append(loop.task.criterion.share)
            past = loop.task.past.state_dict()
            assert all(torch.equal(past[key], ends[-1][key]) for key in past)
        ends.append({k: v.clone() for k, v in student.state_dict().items()})
    steps = loop.batches.steps_per_epoch
    expected = [0.0] * steps + [0.8 * 2 / 3] * steps + [0.8] * steps
    assert shares == pytest.approx(expected)


def test_a_killed_run_ends_with_the_same_bits(monkeypatch, tmp_path) -> None:
    """Killed in the middle of an epoch, and at the end of one, when the past is about to change."""
    whole = weights(FROM_PAST)
    monkeypatch.setenv("PPR_RESULTS", str(tmp_path))
    for step in (14, 20, 21):
        with pytest.raises(KeyboardInterrupt):
            weights(FROM_PAST, KilledAt(step))
    resumed = weights(FROM_PAST)
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
    shutil.rmtree(tmp_path)


def test_alpha_of_zero_is_cross_entropy() -> None:
    ours = weights([*FROM_PAST, "loss.alpha=0"])
    plain = weights([*FROM_PAST, "task=classify", "loss=cross_entropy"])
    for key, value in plain.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_aurc_is_the_mean_risk_over_coverages(size: int) -> None:
    random = torch.Generator().manual_seed(size)
    scores = torch.randn(size, 4, generator=random)
    target = torch.randint(0, 4, (size,), generator=random)
    values = ppr.build("evaluator", "aurc")(
        of_tensors((torch.zeros(size + 3, 4), torch.arange(size + 3) % 4), (scores, target))
    )
    rows = sorted(
        (
            (max(softmax(x)), x.index(max(x)) != y)
            for x, y in zip(scores.tolist(), target.tolist(), strict=True)
        ),
        key=lambda row: -row[0],
    )
    wrong = [row[1] for row in rows]
    risks = [sum(wrong[:n]) / n for n in range(1, size + 1)]
    assert values["aurc"] == pytest.approx(sum(risks) / size)
    failures = sum(wrong)
    best = sum(n / (size - failures + n) for n in range(1, failures + 1)) / size
    assert values["excess"] == pytest.approx(sum(risks) / size - best)


def logits(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 6, 5, generator=random, dtype=torch.float64)
    return student, teacher, torch.arange(6) % 5


def test_pld_with_a_certain_teacher_is_cross_entropy() -> None:
    student, _, target = logits()
    certain = 1e4 * torch.nn.functional.one_hot(target, 5).double()
    cross_entropy = torch.nn.functional.cross_entropy(student, target)
    torch.testing.assert_close(
        ppr.build("loss", "pld")(student, certain, target), cross_entropy, rtol=1e-12, atol=0
    )


def test_pld_is_convex_and_ignores_a_constant() -> None:
    student, teacher, target = logits()
    loss = ppr.build("loss", "pld")
    shifted = loss(student + torch.arange(6.0)[:, None], teacher, target)
    torch.testing.assert_close(shifted, loss(student, teacher, target))
    for row in range(6):
        one = slice(row, row + 1)
        hessian = torch.autograd.functional.hessian(
            lambda s, one=one: loss(s[None], teacher[one], target[one]), student[row]
        )
        assert torch.linalg.eigvalsh(hessian).min() > -1e-12


def test_equal_weights_are_list_mle() -> None:
    """Minus the logarithm of the ranking's Plackett-Luce probability, over the classes."""
    student, teacher, target = logits(1)
    s, y = student[:1], target[:1]
    order = [int(y), *(c for c in teacher[0].argsort(descending=True).tolist() if c != int(y))]
    probability = 1.0
    for k in range(5):
        left = [math.exp(s[0, c]) for c in order[k:]]
        probability *= left[0] / sum(left)
    value = ppr.build("loss", "pld", weights="equal")(s, teacher[:1], y)
    assert 5 * value.item() == pytest.approx(-math.log(probability))
