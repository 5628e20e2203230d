"""Records of components whose code has changed: what is marked, renewed, done again, attested."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from paper_toy import invoke

from ppr.config import code
from ppr.errors import BadRequest
from ppr.papers import attest
from ppr.papers.attested import Attested, Evidence
from ppr.papers.records import outdated
from ppr.results import attestations
from ppr.results.attestations import Attestation
from ppr.results.tree import Record, Scan, scan
from tests.tampering import HERE, forge, other_code

pytest_plugins = ("paper_tree",)


# --- code -----------------------------------------------------------------------------------------


def test_a_run_names_the_code_of_its_components(root: Path) -> None:
    (record, *_) = [r for r in scan(root).records if r.experiment == "toy_fast"]
    found = code.recorded(record.summary)
    assert sorted(found) == [
        "augment/none", "dataset/digits", "evaluator/classifier", "head/linear",
        "loss/cross_entropy", "model/mlp", "optimizer/sgd", "task/classify",
    ]  # fmt: skip
    assert found["loss/cross_entropy"] == code.digest("loss/cross_entropy")
    environment = record.environment()
    assert environment["processor"]
    assert environment["instructions"]


def test_cells_of_older_code_are_marked(root: Path) -> None:
    other_code(root, "loss/cross_entropy")
    shown = invoke("verify", "toy")
    assert shown.exit_code == 0
    assert "OLD  toy: 1 cell recorded with other code of loss/cross_entropy (" in shown.output
    table = invoke("table", "toy/main").output
    assert table.count("(n=2) †") == 1
    assert "ppr reproduce toy/main --renew" in " ".join(table.split())


def test_of_the_evaluators_the_one_that_measured_counts(root: Path) -> None:
    other_code(root, "evaluator/classifier")
    record = next(r for r in scan(root).records if r.experiment == "toy_fast")
    assert outdated(record, "classifier/top1") == ["evaluator/classifier"]
    assert outdated(record, "untrained/classifier/top1") == ["evaluator/classifier"]
    assert outdated(record, "linear/top1") == []
    assert outdated(record, "cost/seconds") == []


def test_what_is_of_older_code_is_renewed_when_asked(root: Path) -> None:
    other_code(root, "task/classify")
    plain = invoke("reproduce", "toy/main", "--dry-run").output
    assert "4 runs, 4 done, 0 to do" in plain
    assert "2 runs done with other code of task/classify (" in plain
    assert (
        "4 runs, 2 done, 2 to do" in invoke("reproduce", "toy/main", "--dry-run", "--renew").output
    )
    shown = invoke("reproduce", "toy/main", "--renew")
    assert shown.exit_code == 0
    assert "4 runs, 4 done, 0 to do" in invoke("reproduce", "toy/main", "--renew").output
    assert "†" not in invoke("table", "toy/main").output
    assert list(root.glob("toy_fast/*/.seed=*-replaced-*"))  # nothing is overwritten


# --- attested -------------------------------------------------------------------------------------


class Here:
    """In the place of a pool: the same calls, in this process."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, call: Callable[..., Any], *given: Any) -> Any:
        ended: Future[Any] = Future()
        ended.set_result(call(*given))
        return ended

    def shutdown(self, **_: object) -> None: ...


@pytest.fixture
def refactored(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose runs of one experiment were recorded with another optimizer's code."""
    monkeypatch.setattr(attest, "ProcessPoolExecutor", Here)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other_code(root, "optimizer/sgd")
    return root


def attested(root: Path) -> list[Attestation]:
    found = list(attestations.read(root))
    assert all(isinstance(each, Attestation) for each in found), found
    return found  # type: ignore[return-value]


def test_code_that_gives_the_same_numbers_is_not_marked(refactored: Path, tmp_path: Path) -> None:
    assert "†" in invoke("table", "toy/main").output
    shown = invoke("verify", "toy", "--attest")
    assert shown.exit_code == 0
    assert shown.output.startswith("1 run to do again: about ")
    assert shown.output.count(": the same bits\n") == 1
    assert "OLD" not in shown.output
    said = "1 cell: code of optimizer/sgd has changed since; a run done again gave the same bits"
    assert said in " ".join(shown.output.split())
    assert shown.output.endswith("3 cells verified, 1 of other code that gives the same numbers\n")
    (found,) = attested(refactored)
    assert found.components == {"optimizer/sgd": ("0" * 12, code.digest("optimizer/sgd"))}
    assert found.metrics == {}
    assert found.environment["processor"]
    assert "†" not in invoke("table", "toy/main").output
    assert "4 done, 0 to do" in invoke("reproduce", "toy/main", "--dry-run", "--renew").output
    assert invoke("verify", "toy", "--attest").output.startswith("0 runs to do again\n")
    # It goes with the records to where they are published.
    invoke("publish", "toy", "--to", str(tmp_path / "clone"))
    assert attested(tmp_path / "clone") == [found]
    assert "OLD" not in invoke("verify", "toy", "--results", str(tmp_path / "clone")).output


def test_code_that_gives_other_numbers_stays_marked(refactored: Path) -> None:
    for seed in (0, 1):
        forge(refactored, seed, 0.9876)
    shown = invoke("verify", "toy", "--attest")
    assert ": other values: classifier/top1\n" in shown.output
    marked = " ".join(next(x for x in shown.output.splitlines() if x.startswith("OLD")).split())
    assert "other code of optimizer/sgd (" in marked
    assert "a run done again gave other numbers: classifier/top1 0." in marked
    assert ", recorded 0.9876 (" in marked
    table = " ".join(invoke("table", "toy/main").output.split())
    assert "98.8 (n=2, all equal) †" in table
    assert "A run done again gave other numbers: classifier/top1" in table
    assert "2 done, 2 to do" in invoke("reproduce", "toy/main", "--dry-run", "--renew").output


def test_an_attestation_speaks_of_its_own_change_alone(refactored: Path) -> None:
    invoke("verify", "toy", "--attest")
    other_code(refactored, "loss/cross_entropy")  # signed anew, so it is of no record there
    assert invoke("verify", "toy").output.count("OLD") == 2
    invoke("verify", "toy", "--attest")
    (found,) = attested(refactored)
    assert sorted(found.components) == ["loss/cross_entropy", "optimizer/sgd"]


def change_attestation(root: Path, sign: bool, **values: Any) -> None:
    (found,) = attested(root)
    changed = replace(found, **values)
    line = json.dumps(asdict(attestations.signed(changed) if sign else changed))
    (root / attestations.FILE).write_text(f"{line}\n")


def test_what_a_records_own_commit_gives_here_is_asked_once(
    refactored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(refactored, 0, 0.9876)
    forge(refactored, 1, 0.9876)
    invoke("verify", "toy", "--attest")
    (found,) = attested(refactored)
    change_attestation(  # as if its code had been at a commit, and today's another since
        refactored,
        True,
        components={"optimizer/sgd": ("0" * 12, "1" * 12)},
        control={"classifier/top1": 0.5},
    )
    monkeypatch.setattr(attest, "_source", lambda *_: pytest.fail("it is known"))
    invoke("verify", "toy", "--attest")
    (again_,) = attested(refactored)
    assert again_.components == found.components
    assert again_.metrics == found.metrics
    assert again_.control == {"classifier/top1": 0.5}


FORGERIES: dict[str, tuple[bool, dict[str, Any], str]] = {
    "a value": (False, {"metrics": {"classifier/top1": 0.5}}, "line 1: its digest does not fit"),
    "a digest of code": (False, {"components": {"optimizer/sgd": ("0" * 12, "1" * 12)}},
                         "line 1: its digest does not fit"),
    "another's record": (True, {"experiment": "toy_slow"}, "its record is that of toy_fast/"),
    "code not of the record": (True, {"components": {"optimizer/sgd": ("1" * 12, "2" * 12)}},
                               "optimizer/sgd was 000000000000 in its record, not 111111111111"),
    "a metric of no run": (True, {"metrics": {"linear/top1": 0.5}}, "has no metric linear/top1"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_attestation_is_refused(name: str, refactored: Path) -> None:
    sign, values, said = FORGERIES[name]
    invoke("verify", "toy", "--attest")
    change_attestation(refactored, sign, **values)
    shown = invoke("verify", "toy")
    assert shown.exit_code == 1
    assert any(x.startswith("OFF") and said in x for x in shown.output.splitlines()), shown.output
    assert "OLD" in shown.output
    assert "†" in invoke("table", "toy/main").output


def spoken(options: dict[str, Any], said: dict[str, Any], **changed: Any) -> Evidence:
    """What an attestation of a run with other options says of a record."""
    then, now = "0" * 12, code.digest("optimizer/sgd")

    def record(variant: str, node: dict[str, Any]) -> Record:
        summary = {
            "metrics": {"classifier": {"top1": 0.5}, "knn": {"top1": 0.4}}, "digest": variant,
            "code": {"components": {"optimizer/sgd": then}},
        }  # fmt: skip
        config = {"task": {"name": "classify"}, "optimizer": {"name": "sgd", **node}}
        line = {"config": config, "environment": HERE}
        return Record("e", variant, 0, None, "finished", summary, Path("f"), line)

    own, other = record("a", {"lr": 0.1, "nesterov": False}), record("b", options)
    line = Attestation(
        "e", "b", 0, "b", {"optimizer/sgd": (then, now)}, said.get("metrics", {}),
        said.get("control"), HERE, {}, "",
    )  # fmt: skip
    seen = Scan([own, other], [], [replace(line, **changed)])
    found = Attested(seen).evidence(own, "best/classifier/top1", "optimizer/sgd")
    return found or Evidence(False, "")


def test_of_what_an_attestation_speaks() -> None:
    plain = {"lr": 0.3, "nesterov": False}
    same = spoken(plain, {})
    assert same == Evidence(True, "gave the same bits", own=False)
    nothing = Evidence(False, "")
    assert spoken({"lr": 0.3, "nesterov": True}, {}) == nothing  # other code may be run
    assert spoken({"lr": 0.0, "nesterov": False}, {}) == nothing
    assert spoken(plain, {}, components={"optimizer/sgd": ("0" * 12, "3" * 12)}) == nothing
    assert spoken(plain, {"metrics": {"knn/top1": 0.1}}).same  # another evaluator's
    moved = {"metrics": {"classifier/top1": 0.6}}
    off = spoken(plain, moved)
    assert not off.same
    assert off.says == "gave other numbers: classifier/top1 0.6, recorded 0.5 (by 0.2 of its size)"
    # On that machine the code of the record's commit does the same, so it is not the code.
    assert spoken(plain, moved | {"control": {}}).same
    guilty = spoken(plain, moved | {"control": {"classifier/top1": 0.59}})
    assert not guilty.same
    assert "0.6, by its own commit 0.59" in guilty.says


def test_attesting_and_drawing_runs_are_two_things(root: Path) -> None:
    with pytest.raises(BadRequest, match="--attest chooses its runs, --rerun draws them"):
        invoke("verify", "toy", "--attest", "--rerun", "1")
