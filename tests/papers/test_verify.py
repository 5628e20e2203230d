"""`ppr verify` finds what has been edited or does not come back; `ppr publish`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paper_toy import invoke

import ppr.cli.verify
from ppr.config import places
from ppr.config.compose import recorded
from ppr.config.schema import check_config
from ppr.errors import BadRequest, RunFailed
from ppr.papers import again
from ppr.papers.again import compare
from ppr.papers.index import write_index
from ppr.papers.records import faults
from ppr.results.published import Reader, encode
from ppr.results.tree import Record, record_digest, scan
from tests.tampering import HERE, edit, forge, run_folder, set_top1

pytest_plugins = ("paper_tree",)


# --- records --------------------------------------------------------------------------------------


def test_an_honest_tree_verifies(root: Path) -> None:
    shown = invoke("verify", "toy")
    assert shown.exit_code == 0
    assert shown.output.endswith("toy: 4 records behind 3 cells verified\n")
    assert "Fast" in shown.output
    assert "better" in shown.output


def swap_config(folder: Path) -> None:
    file = folder / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.5", "lr: 0.4"))


EDITS: dict[str, tuple[Callable[[Path], None], str]] = {
    "metric": (lambda f: edit(f / "summary.json", set_top1), "its digest does not fit"),
    "cost": (
        lambda f: edit(f / "summary.json", lambda s: s["cost"].update(device="GPU")),
        "its digest does not fit",
    ),
    "commit": (
        lambda f: edit(f / "summary.json", lambda s: s["code"].update(commit="0" * 40)),
        "its digest does not fit",
    ),
    "digest": (lambda f: edit(f / "summary.json", lambda s: s.pop("digest")), "has no digest"),
    "environment": (
        lambda f: edit(f / "environment.json", lambda e: e.update(python="2.7")),
        "its digest does not fit",
    ),
    "config": (swap_config, "its config is of variant"),
    "no config": (lambda f: (f / "config.yaml").unlink(), "config.yaml: cannot read"),
    "torn": (lambda f: (f / "summary.json").write_text('{"schema": 1,'), "not JSON"),
    "not finite": (
        lambda f: edit(f / "summary.json", lambda s: set_top1(s, float("nan"))),
        "metric classifier/top1 is nan",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_record_is_found(name: str, root: Path) -> None:
    change, said = EDITS[name]
    change(run_folder(root))
    shown = invoke("verify", "toy")
    assert shown.exit_code == 1
    found = [line for line in shown.output.splitlines() if line.startswith("OFF")]
    assert any("seed=1" in line and said in line for line in found), shown.output
    assert "seed=0" not in "".join(found)


def test_cells_and_verdicts_are_of_sound_records_alone(root: Path) -> None:
    edit(run_folder(root) / "summary.json", set_top1)
    shown = invoke("verify", "toy").output
    assert "99.0" not in shown.split("OFF")[0]
    assert "OFF  main.Fast.digits: the table says 2 seeds; without a record: 1" in shown
    assert "(n=1, no interval)" in shown


def test_a_run_under_another_variants_folder_is_found(root: Path) -> None:
    folder = run_folder(root)
    other = folder.parent.parent / "0123456789" / "seed=1"
    other.parent.mkdir()
    folder.rename(other)
    edit(other / "summary.json", lambda s: s.update(variant="0123456789"))
    (record,) = [r for r in scan(root).records if r.variant == "0123456789"]
    assert any("its config is of variant" in fault for fault in faults(record))


# --- published ------------------------------------------------------------------------------------


def test_published_records_stand_for_the_runs(root: Path, tmp_path: Path) -> None:
    live = invoke("verify", "toy").output
    clone = tmp_path / "clone"
    shown = invoke("publish", "toy", "--to", str(clone))
    assert shown.output.startswith("4 runs, ")
    first = (clone / "toy.jsonl").read_bytes()
    assert len(first.splitlines()) == 4
    assert len(first) < 4 * 5000
    assert invoke("verify", "toy", "--results", str(clone)).output == live
    # Published from what is published, and again: the same bytes.
    invoke("publish", "toy", "--results", str(clone))
    assert (clone / "toy.jsonl").read_bytes() == first
    assert [path.name for path in clone.iterdir()] == ["toy.jsonl"]


def lines(file: Path) -> list[dict[str, Any]]:
    reader = Reader()
    return [reader.whole(json.loads(line)) for line in file.read_text().splitlines()]


def sign(run: dict[str, Any]) -> dict[str, Any]:
    """As only somebody who reads the code can."""
    digest = record_digest(run["summary"], run["config"], run["environment"])
    return run | {"summary": run["summary"] | {"digest": digest}}


def edited(run: dict[str, Any], value: float = 0.99) -> dict[str, Any]:
    return run | {"summary": run["summary"] | {"metrics": {"classifier": {"top1": value}}}}


def invented(run: dict[str, Any], seed: int) -> dict[str, Any]:
    """A further seed of a run, with all the ids that belong to it."""
    config = run["config"] | {"seed": seed}
    run_id = recorded(check_config(config)).run_id
    summary = edited(run)["summary"] | {"seed": seed, "run_id": run_id}
    return sign(run | {"config": config, "summary": summary})


TAMPERINGS: dict[str, tuple[Callable[[list[dict[str, Any]]], list[dict[str, Any]]], str]] = {
    "a number": (lambda runs: [edited(runs[0]), *runs[1:]], "seed=0: its digest does not fit"),
    "a config": (
        lambda runs: [runs[0] | {"config": {**runs[0]["config"], "scale": "paper"}}, *runs[1:]],
        "seed=0: its digest does not fit",
    ),
    "a seed dropped": (
        lambda runs: [runs[0], *runs[2:]],
        "main.Fast.digits: the table says 2 seeds; without a record: 1",
    ),
    "seeds invented": (
        lambda runs: [*runs[:2], invented(runs[1], 2), invented(runs[1], 3), *runs[2:]],
        "seed=3: published, but no cell asks for it",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_with_published_records_is_found(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, said = TAMPERINGS[name]
    monkeypatch.setattr(ppr.cli.verify, "folders", lambda: [places._own_folders[0] / "paper"])
    invoke("publish", "toy", "--to", str(tmp_path / "clone"))
    file = tmp_path / "clone" / "toy.jsonl"
    file.write_text(encode(change(lines(file))))
    for words in (["toy"], []):
        shown = invoke("verify", *words, "--results", str(file.parent))
        assert shown.exit_code == 1
        assert any(line.startswith("OFF") and said in line for line in shown.output.splitlines())


def test_no_other_command_takes_an_edited_number(root: Path) -> None:
    edit(run_folder(root) / "summary.json", lambda s: set_top1(s, 0.9876))
    for command in ("table", "paper"):
        shown = invoke(command, "toy").output
        assert "98.8" not in shown
    assert "seed=1: its digest does not fit" in invoke("table", "toy").output
    assert len(scan(root).records) == 4


def test_an_index_that_leads_a_cell_elsewhere_is_found(root: Path, own_configs: Path) -> None:
    paper = own_configs / "paper" / "toy.yaml"
    write_index(paper, scan(root))
    file = paper.parent / "index" / "toy.json"
    assert invoke("verify", "toy").exit_code == 0
    fast, slow = (next(root.glob(f"{name}/*")).name for name in ("toy_fast", "toy_slow"))
    text = file.read_text()
    file.write_text(text.replace(f'"toy_fast",\n"{fast}"', f'"toy_slow",\n"{slow}"'))
    assert file.read_text() != text
    shown = invoke("verify", "toy")
    assert shown.exit_code == 1
    said = f"main.Fast.digits: the index says toy_slow/{slow}, its words are toy_fast/{fast}"
    assert f"OFF  {said}" in shown.output


def test_an_edited_run_is_not_published(root: Path) -> None:
    edit(run_folder(root) / "summary.json", set_top1)
    with pytest.raises(RunFailed, match=r"toy_fast/.*seed=1: its digest .* nothing published"):
        invoke("publish", "toy")
    assert not (root / "toy.jsonl").exists()


def test_a_paper_without_runs_is_refused(configs: Path) -> None:
    for name in ("publish", "verify"):
        with pytest.raises(BadRequest, match="toy: no finished run behind its cells; ppr repro"):
            invoke(name, "toy")


# --- done again -----------------------------------------------------------------------------------


def test_a_run_done_again_gives_the_same_bits(root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    shown = invoke("verify", "toy", "--rerun", "2")
    assert shown.exit_code == 0
    assert shown.output.count("again: toy_") == 2
    assert shown.output.count("  identical") == 4  # two runs, top-1 and top-5
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before


def test_a_number_signed_anew_is_found_by_doing_the_run_again_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(root, 0, 0.9876)
    assert invoke("verify", "toy").exit_code == 0  # a digest is no signature
    monkeypatch.setattr(again, "sample", lambda records, *_: [records[0]])
    shown = invoke("verify", "toy", "--rerun", "1")
    assert shown.exit_code == 1
    assert "when done again, recorded 0.9876, must be the same bits" in shown.output


def test_the_sample_is_random_and_repeatable() -> None:
    records = [Record("e", "v", seed, None, "finished", {}, Path()) for seed in range(50)]
    assert again.sample(records, 5, 0) == again.sample(records, 5, 0)
    assert again.sample(records, 5, 0) != again.sample(records, 5, 1)
    assert len({r.seed for r in again.sample(records, 99, 0)}) == 50


def done(seed: int, values: dict[str, float], **where: str) -> Record:
    summary = {"metrics": {"a": values}}
    line = {"environment": HERE | where}
    return Record("e", "0" * 10, seed, None, "finished", summary, Path("f"), line)


SEEDS = [done(1, {"x": 0.90, "y": 3.0}), done(2, {"x": 0.92, "y": 3.2})]
"""The other seeds: x has a spread of 0.01414, y of 0.1414."""

FALLS = {
    "the same bits": ({"x": 0.91, "y": 3.1}, {}, {"x": "identical", "y": "identical"}),
    "a bit on the same machine": (
        {"x": 0.91, "y": 3.1000000001}, {}, {"x": "identical", "y": "outside"},
    ),
    "rounding elsewhere": (
        {"x": 0.91, "y": 3.1000000001}, {"processor": "Q"}, {"x": "identical", "y": "within"},
    ),
    "another path elsewhere": (
        {"x": 0.93, "y": 3.3}, {"instructions": "AVX512"}, {"x": "within", "y": "within"},
    ),
    "one number alone elsewhere": (
        {"x": 0.93, "y": 3.1}, {"processor": "Q"}, {"x": "outside", "y": "identical"},
    ),
    "farther than any machine": (
        {"x": 0.99, "y": 3.3}, {"processor": "Q"}, {"x": "outside", "y": "within"},
    ),
    "a value that is gone": ({"x": 0.91}, {"processor": "Q"}, {"x": "identical", "y": "outside"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FALLS)
def test_a_run_done_again_is_held_against_its_own_record(name: str) -> None:
    values, where, expected = FALLS[name]
    record = done(0, {"x": 0.91, "y": 3.1})
    found = compare([(record, done(0, values, **where))], [*SEEDS, record])
    assert {c.metric.removeprefix("a/"): c.fall for c in found} == expected


def test_a_forged_record_does_not_widen_what_it_is_held_against() -> None:
    near, far = done(0, {"x": 0.91, "y": 3.1}), done(0, {"x": 9.0, "y": 3.1})
    now = done(0, {"x": 0.91, "y": 3.1}, processor="Q")
    (bound,) = {c.allowed for c in compare([(far, now)], [*SEEDS, far]) if c.metric == "a/x"}
    assert bound <= 4 * 0.0142
    assert {c.fall for c in compare([(near, now)], [*SEEDS, near])} == {"identical"}
