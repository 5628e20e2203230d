"""`ppr reproduce`: what is missing is run, inputs first, once; then the table and the verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from paper_toy import invoke
from signed import write_signed

import ppr.launchers.attempt
import ppr.launchers.local
from ppr.cli.papers import resolve
from ppr.cli.run import _print_result
from ppr.config.compose import _compose_groups, compose
from ppr.config.places import run_path
from ppr.engine.interrupts import Interrupted
from ppr.errors import BadRequest, RunFailed
from ppr.launchers import estimate
from ppr.launchers.execute import execute
from ppr.report.verdict_line import verdict_line
from ppr.results.tree import scan

pytest_plugins = ("paper_tree",)

SUMMARIES = "*/*/seed=*/summary.json"


MEASURED = estimate._measured


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """To measure steps takes a process of its own, for seconds."""
    monkeypatch.setattr(estimate, "_measured", lambda configs: {})


def stamps(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.glob(SUMMARIES)}


class Attempts:
    """The runs that are attempted, in order; `spoil` breaks those of some numbers."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.spoil: dict[int, Exception] = {}
        self._real = ppr.launchers.attempt.attempt

    def __call__(self, config: Any, *rest: Any, **more: Any) -> Any:
        self.seen.append(f"{config.experiment} {config.seed}")
        if len(self.seen) in self.spoil:
            raise self.spoil[len(self.seen)]
        return self._real(config, *rest, **more)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> Attempts:
    found = Attempts()
    monkeypatch.setattr(ppr.launchers.attempt, "attempt", found)
    return found


# --- missing runs ---------------------------------------------------------------------------------


def test_a_dry_run_counts_estimates_and_writes_nothing(
    configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_measured", MEASURED)
    shown = invoke("reproduce", "toy", "--dry-run")
    assert shown.exit_code == 0
    first, *_ = shown.output.splitlines()
    pattern = r"toy: 4 runs, 0 done, 4 to do: about \d+ seconds \(4 from a few measured steps\)"
    assert re.fullmatch(pattern, first), first
    assert shown.output.count("ppr run experiment=toy_fast seed=") == 2
    assert not list((tmp_path / "results").rglob("*.json"))


def test_finished_runs_are_not_run_again(root: Path, attempts: Attempts) -> None:
    before = stamps(root)
    shown = invoke("reproduce", "toy/main", "--seeds", "2")
    assert shown.output.startswith("toy/main: 4 runs, 4 done, 0 to do\n")
    assert (attempts.seen, stamps(root)) == ([], before)
    assert re.search(r"Fast +\d\d\.\d+ ± .*\(n=2\)", shown.output)
    assert re.search(r"better +finding +desk +(reproduced|inconclusive)", shown.output)
    with pytest.raises(BadRequest, match="--seeds 3: toy/main states 2"):
        invoke("reproduce", "toy", "--seeds", "3", "--dry-run")


def test_interrupted_and_repeated_it_does_the_rest(
    configs: Path, tmp_path: Path, attempts: Attempts
) -> None:
    attempts.spoil = {3: Interrupted("stopped")}
    with pytest.raises(Interrupted):
        invoke("reproduce", "toy")
    assert attempts.seen == ["toy_fast 0", "toy_fast 1", "toy_slow 0"]
    before = stamps(tmp_path / "results")
    attempts.seen.clear()
    attempts.spoil = {}
    assert "2 done, 2 to do" in invoke("reproduce", "toy").output
    assert attempts.seen == ["toy_slow 0", "toy_slow 1"]
    after = stamps(tmp_path / "results")
    assert len(after) == 4
    assert before.items() <= after.items()


def test_a_failed_run_leaves_the_others_alone(
    configs: Path, tmp_path: Path, attempts: Attempts
) -> None:
    attempts.spoil = {1: RunFailed("broke"), 2: ZeroDivisionError("a bug")}
    shown = invoke("reproduce", "toy")
    assert shown.exit_code == 1
    assert "ppr run experiment=toy_fast seed=0: broke" in shown.output
    assert "ZeroDivisionError: a bug" in shown.output
    assert len(stamps(tmp_path / "results")) == 2
    assert "Missing, Fast, digits (0 of 2 seeds)" in shown.output


def test_through_a_launcher(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher's own processes are left to its own tests."""
    for lost in ("toy_fast", "toy_slow"):
        next(root.glob(f"{lost}/*/seed=1/summary.json")).unlink()

    def run_tasks(tasks: Any, slots: Any, display: Any, *rest: Any, **more: Any) -> None:
        assert len(slots) == 2
        for task in tasks:
            display.finished(task, execute(task.config))

    monkeypatch.setattr(ppr.launchers.local, "run_tasks", run_tasks)
    shown = invoke("reproduce", "toy", "--jobs", "2")
    assert shown.exit_code == 0, shown.output
    assert re.search("2 runs: 2 to do, .*, 2 at a time", shown.output)
    assert len(stamps(root)) == 4


def test_a_table_of_a_metric_that_its_runs_lack_is_named(own_configs: Path, tmp_path: Path) -> None:
    file = own_configs / "paper" / "toy.yaml"
    file.write_text(file.read_text().replace("classifier/top1", "linear/top1"))
    shown = invoke("reproduce", "toy")
    assert shown.exit_code == 1
    assert "left out: tables.main.Fast.digits: no metric 'linear/top1'" in shown.output
    assert len(stamps(tmp_path / "results")) == 4


def test_published_runs_count(root: Path, attempts: Attempts) -> None:
    invoke("publish", "toy")
    for summary in root.glob(SUMMARIES):
        summary.unlink()
    assert "4 runs, 4 done, 0 to do" in invoke("reproduce", "toy").output
    assert attempts.seen == []


REFUSED = {
    ("mian",): "unknown paper 'mian'",
    ("toy/mian",): "toy/mian: no such table; did you mean 'main'",
    ("toy/large", "--scale", "desk"): "no table of scale desk to reproduce; large is paper",
    ("toy", "optimizer.lr=0.1"): "optimizer.lr=0.1: changes the results of toy_fast",
    ("toy", "engine.devise=cpu"): "engine.devise",
}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals(words: tuple[str, ...], configs: Path) -> None:
    with pytest.raises(BadRequest) as error:
        invoke("reproduce", *words)
    assert REFUSED[words] in str(error.value)


def test_a_table_of_the_papers_scale_is_asked_for_by_name(configs: Path) -> None:
    assert "toy/large: 5 runs" in invoke("reproduce", "toy/large", "--dry-run").output


# --- the estimate ---------------------------------------------------------------------------------


def test_the_first_step_is_no_measure_of_the_others() -> None:
    clock = estimate._Clock()
    clock.times = [0.0, 5.0, 5.5, 6.0]
    assert clock.seconds_a_step == 0.5
    clock.times = [0.0, 5.0]
    assert clock.seconds_a_step == 5.0


def test_recorded_seconds_are_the_median(root: Path) -> None:
    files = sorted(root.glob("toy_fast/*/seed=*/summary.json"))
    for file, seconds in zip(files, (10.0, 30.0), strict=True):
        summary = json.loads(file.read_text())
        summary["cost"]["seconds"] = seconds
        file.write_text(json.dumps(summary))
    found = estimate.estimate([compose(["experiment=toy_fast", "seed=7"])] * 3, root)
    assert (found.seconds, found.recorded, found.measured) == (60.0, 3, 0)


def test_what_cannot_be_measured_says_why(
    configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "_measured", MEASURED)
    config = compose(["experiment=toy_student"])
    found = estimate.estimate([config, config], tmp_path)
    assert found.unknown == {
        "toy_student": "it starts from another run, so it cannot be tried alone"
    }
    assert (found.seconds, found.origin) == (0.0, "2 more unknown")


# --- before anything starts -----------------------------------------------------------------------


def test_what_every_run_would_be_refused_for_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: Attempts
) -> None:
    monkeypatch.setattr(estimate, "estimate", lambda *_: estimate.Estimate())
    words = ("reproduce", "supcon/cifar", "--seeds", "1", "engine.device=cpu")
    with pytest.raises(BadRequest, match=r"supcon/cifar: \d+ runs of paper scale.* --yes starts"):
        invoke(*words)
    with pytest.raises(BadRequest, match=r"^cifar\d+: .*ppr data fetch.*; not here either: cifar"):
        invoke(*words, "--yes")
    assert invoke(*words, "--dry-run").exit_code == 0
    assert not attempts.seen
    assert not list(tmp_path.rglob("*.json"))


# --- inputs ---------------------------------------------------------------------------------------


def of(words: str) -> Any:
    return compose(words.split())


def test_an_inputs_identity_is_part_of_the_runs(configs: Path) -> None:
    def ids(words: str) -> tuple[str, str]:
        config = compose(["experiment=toy_student", "seed=3", f"inputs.teacher='{words}'"])
        return config.variant, config.run_id

    plain = ids("experiment=toy_fast")
    assert ids("optimizer.lr=0.5 experiment=toy_fast") == plain  # other words, the same run
    assert ids("experiment=toy_fast engine.log_every=7") == plain
    others = [
        "experiment=toy_slow",
        "experiment=toy_fast optimizer.lr=0.4",
        "experiment=toy_fast seed=0",
        "experiment=toy_fast seed=1",
    ]
    assert len({plain, *map(ids, others)}) == 5


def test_a_change_in_the_inputs_own_file_counts(own_configs: Path) -> None:
    before = of("experiment=toy_student").variant
    file = own_configs / "experiment" / "toy_fast.yaml"
    file.write_text(file.read_text().replace("0.5", "0.25"))
    _compose_groups.cache_clear()
    assert of("experiment=toy_student").variant != before


def test_an_input_without_a_seed_has_that_of_its_run(configs: Path) -> None:
    assert of("experiment=toy_student seed=0").variant == of("experiment=toy_student").variant
    (teacher,) = of("experiment=toy_student seed=4").needed()
    assert (teacher.experiment, teacher.seed) == ("toy_fast", 4)
    (teacher,) = of("experiment=toy_shared seed=4").needed()
    assert teacher.seed == 0
    assert of("experiment=toy_shared seed=4").run_id != of("experiment=toy_shared seed=5").run_id


def test_a_chain_of_inputs_comes_in_order(configs: Path) -> None:
    found = [(c.experiment, c.seed) for c in of("experiment=toy_last seed=9").needed()]
    assert found == [("toy_fast", 2), ("toy_student", 2), ("toy_pupil", 2)]


@pytest.mark.parametrize("first", ["toy_ring", "toy_ring_back"])
def test_a_cycle_is_refused_with_its_path(configs: Path, first: str) -> None:
    with pytest.raises(BadRequest) as error:
        _ = of(f"experiment={first}").run_id
    steps = str(error.value).split("a cycle: ")[1].split(" → ")
    assert len(steps) == 3
    assert steps[0] == steps[-1]
    assert {steps[0], steps[1]} == {"experiment=toy_ring seed=0", "experiment=toy_ring_back seed=0"}


def test_an_unknown_input_or_experiment_is_named(configs: Path) -> None:
    from ppr.results.finished import input_folder

    inputs = of("experiment=toy_student").inputs
    with pytest.raises(BadRequest, match=r"inputs\.teecher: .*did you mean 'teacher'"):
        input_folder(inputs, "teecher")
    with pytest.raises(RunFailed, match=r"inputs\.teacher: .* not finished; ppr run experiment="):
        input_folder(inputs, "teacher")
    with pytest.raises(BadRequest, match=r"inputs\.teacher: experiment=toy_fats: no such"):
        _ = of("experiment=toy_lost").run_id


def test_the_teacher_is_trained_first_and_once(
    configs: Path, tmp_path: Path, attempts: Attempts
) -> None:
    shown = invoke("reproduce", "toy_students")
    assert shown.exit_code == 0, shown.output
    assert "toy_students: 3 runs, 0 done, 3 to do" in shown.output
    assert attempts.seen == ["toy_fast 0", "toy_shared 0", "toy_shared 1"]
    files = {
        p.parts[-4]: json.loads(p.read_text()) for p in (tmp_path).glob(f"results/{SUMMARIES}")
    }
    copied = files["toy_shared"]["metrics"]["copied"]
    assert copied == files["toy_fast"]["metrics"]["classifier"]
    assert "2 runs, 2 done, 0 to do" in invoke("reproduce", "toy_students").output


def test_a_run_whose_input_failed_waits(configs: Path, attempts: Attempts) -> None:
    attempts.spoil = {1: RunFailed("broke")}
    shown = invoke("reproduce", "toy_students", "--seeds", "1")
    assert shown.exit_code == 1
    assert attempts.seen == ["toy_fast 0"]
    assert "waits for its input: ppr run experiment=toy_shared seed=0" in shown.output


# --- the last line of `ppr run` -------------------------------------------------------------------


def fake(root: Path, values: list[float], experiment: str = "toy_fast") -> dict[str, Any]:
    """Finished runs of an experiment with these accuracies; the last summary."""
    config = of(f"experiment={experiment}")
    summary: dict[str, Any] = {}
    for seed, value in enumerate(values):
        folder = run_path(root, experiment, config.variant, seed)
        summary = {
            "schema": 1, "experiment": experiment, "variant": config.variant, "seed": seed,
            "scale": "desk", "metrics": {"classifier": {"top1": value}}, "data": {},
            "cost": {"seconds": 1.0},
        }  # fmt: skip
        write_signed(folder, summary)
    return summary


LINES = {
    (0.61,): "reported 60.0, reproduced 61.0 (n=1, no interval), difference +1.0 (tolerance 10.05)",
    (0.61, 0.62): "within tolerance",
    (0.91, 0.92): "outside tolerance (+31.5, 10.05 allowed)",
    (0.55, 0.75): "not decided within tolerance (+5.0, 10.05 allowed)",
}


@pytest.mark.parametrize("values", LINES)
def test_a_run_is_held_against_its_paper(
    values: tuple[float, ...], configs: Path, tmp_path: Path
) -> None:
    line = verdict_line(fake(tmp_path, list(values)), tmp_path, resolve)
    assert line.startswith("Fast, digits: reported 60.0, reproduced ")
    assert LINES[values] in line
    assert line.endswith(f"ppr table toy/main ({len(values)} of 2 seeds)")


def test_a_cell_without_a_reported_value_says_where_it_stands(
    configs: Path, tmp_path: Path
) -> None:
    line = verdict_line(fake(tmp_path, [0.5], "toy_slow"), tmp_path, resolve)
    said = "Slow, digits: reproduced 50.0 (n=1, no interval); ppr table toy/main (1 of 2 seeds)"
    assert line == said


def test_a_run_of_no_paper_says_nothing(configs: Path, tmp_path: Path) -> None:
    summary = fake(tmp_path, [0.5])
    assert verdict_line(summary | {"experiment": "custom"}, tmp_path, resolve) == ""
    assert verdict_line(summary | {"variant": "0" * 10}, tmp_path, resolve) == ""
    assert verdict_line(summary | {"scale": "smoke"}, tmp_path, resolve) == ""


def test_an_odd_paper_does_not_fail_the_run(
    own_configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = fake(tmp_path, [0.5])
    (own_configs / "paper" / "toy.yaml").write_text("title: [\ncell: experiment=toy_fast\n")
    folder = run_path(tmp_path, "toy_fast", summary["variant"], 0)
    _print_result(summary, folder, before=False, synthetic=False)
    *_, last = capsys.readouterr().out.strip().splitlines()
    assert last.startswith("results: ")  # whose cells cannot be read has none of this run


@pytest.mark.parametrize("synthetic", [True, False])
def test_numbers_from_random_data_say_so(
    synthetic: bool, configs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = fake(tmp_path, [0.5]) | {"data": {"name": "digits", "test": 64}}
    _print_result(summary, tmp_path / "a" / "b" / "c", before=False, synthetic=synthetic)
    shown = capsys.readouterr().out
    assert ("random data" in shown) is synthetic
    assert ("test split of" in shown) is not synthetic


def test_the_tree_is_read_as_published_too(root: Path) -> None:
    """The line counts the seeds that `ppr table` counts."""
    invoke("publish", "toy")
    first, *others = [r for r in scan(root).records if r.experiment == "toy_fast"]
    for record in others:
        assert record.path is not None
        (record.path / "summary.json").unlink()
    assert verdict_line(first.summary, root, resolve).endswith("(2 of 2 seeds)")
