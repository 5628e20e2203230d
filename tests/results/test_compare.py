"""`ppr compare`: config difference, metric difference held against scipy, curves."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from paper_toy import invoke
from scipy import stats

from ppr.errors import BadRequest
from ppr.papers.compare import Side, config_difference, contrasts
from ppr.results.curves import groups
from ppr.results.tree import Record, scan

pytest_plugins = ("paper_tree",)


def group(name: str, values: list[float], **more: Any) -> Side:
    records = [
        Record(name, "0" * 10, seed, None, "finished", {"metrics": {"a": {"b": v}, **more}}, Path())
        for seed, v in enumerate(values)
    ]
    return Side(name, records)


def test_groups_are_compared_by_welchs_test() -> None:
    first, second = [0.5, 0.52, 0.49, 0.55], [0.6, 0.7, 0.58]
    (found,) = contrasts(group("x", first), group("y", second))
    expected = stats.ttest_ind(second, first, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.half_width is not None
    assert found.difference - found.half_width == pytest.approx(interval.low)
    assert found.difference + found.half_width == pytest.approx(interval.high)


def test_two_sides_have_the_same_p_whichever_comes_first() -> None:
    one, other = group("x", [0.5, 0.6, 0.4]), group("y", [0.9, 0.8, 0.85])
    (there,), (back,) = contrasts(one, other), contrasts(other, one)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.difference == -back.difference
    far = [group(n, [high + i / 1000 for i in range(10)]) for n, high in (("x", 1), ("y", 0))]
    (there,), (back,) = contrasts(*far), contrasts(*reversed(far))
    assert there.p_value == back.p_value
    # The tail itself, that 1 - p rounds to 0.
    tail = stats.ttest_ind(*([i / 1000 + high for i in range(10)] for high in (1, 0))).pvalue
    assert there.p_value == pytest.approx(tail, rel=1e-6, abs=0)
    assert there.p_value > 0


def test_without_spread_there_is_no_test() -> None:
    (found,) = contrasts(group("x", [0.5]), group("y", [0.75]))
    assert (found.difference, found.half_width, found.p_value) == (0.25, None, None)


def test_only_metrics_of_both_sides_are_compared() -> None:
    found = contrasts(group("x", [0.5], c={"d": 1.0}), group("y", [0.7]))
    assert [each.metric for each in found] == ["a/b"]


def test_two_experiments(root: Path) -> None:
    shown = invoke("compare", "toy_fast", "toy_slow").output
    assert re.search(r"^optimizer\.lr +0\.5 +0\.001$", shown, re.MULTILINE)
    assert re.search(r"^experiment +toy_fast +toy_slow$", shown, re.MULTILINE)
    assert not re.search(r"^seed ", shown, re.MULTILINE)
    assert re.search(r"^classifier/top1 .*± .*n=2.* -0\.\d+ ± ", shown, re.MULTILINE)
    assert "a toy_fast (n=2)" in shown
    assert "b toy_slow (n=2)" in shown


def test_two_runs(root: Path) -> None:
    first, second = sorted(str(p) for p in root.glob("toy_fast/*/seed=*"))
    shown = invoke("compare", first, second).output
    assert re.search(r"^seed +0 +1$", shown, re.MULTILINE)
    assert "one seed a side has no spread" in shown
    assert "training loss" in shown
    short = "/".join(Path(second).parts[-3:])
    assert invoke("compare", first, short, "--no-curves").output in shown


def test_a_run_with_itself_does_not_differ(root: Path) -> None:
    run = str(next(root.glob("toy_fast/*/seed=0")))
    shown = invoke("compare", run, run).output
    assert "the configs do not differ" in shown
    assert re.search(r"^classifier/top1 .* \+0 +-$", shown, re.MULTILINE)


def test_json(root: Path) -> None:
    found = json.loads(invoke("compare", "toy_fast", "toy_slow", "--json").output)
    assert found["config"]["optimizer.lr"] == [0.5, 0.001]
    metric = found["metrics"]["classifier/top1"]
    values = {
        name: [
            r.summary["metrics"]["classifier"]["top1"]
            for r in scan(root).records
            if r.experiment == name
        ]
        for name in ("toy_fast", "toy_slow")
    }
    expected = stats.ttest_ind(values["toy_slow"], values["toy_fast"], equal_var=False)
    assert metric["p"] == pytest.approx(expected.pvalue)
    assert metric["n"] == [2, 2]


def test_published_runs_have_no_curves(root: Path, tmp_path: Path) -> None:
    invoke("publish", "toy", "--to", str(tmp_path / "clone"))
    clone = str(tmp_path / "clone")
    shown = invoke("compare", "toy_fast", "toy_slow", "--results", clone).output
    assert "no curves: " in shown
    for asked in (["toy_fast"], [str(next(root.glob("toy_slow/*/seed=0"))), "toy_fast"]):
        with pytest.raises(BadRequest, match=r"keep no curves; `ppr run experiment=toy_fast`"):
            groups(scan(tmp_path / "clone"), asked)
    assert "classifier/top1" in shown


def test_what_is_not_one_variant_is_refused(root: Path) -> None:
    with pytest.raises(BadRequest, match="toy_fsat.*did you mean 'toy_fast'"):
        invoke("compare", "toy_fsat", "toy_slow")
    with pytest.raises(BadRequest, match=r"toy_\*: 2 variants; name one of toy_fast/"):
        invoke("compare", "toy_*", "toy_slow")
    for summary in root.glob("toy_slow/*/*/summary.json"):
        summary.unlink()
    with pytest.raises(BadRequest, match="toy_slow: no finished run"):
        invoke("compare", "toy_fast", "toy_slow")


def other(root: Path, name: str, change: Any) -> None:
    """One more variant of toy_fast, made of the one that is there."""
    there = next(root.glob("toy_fast/*"))
    where = there.with_name(name)
    shutil.copytree(there, where)
    for run in where.iterdir():
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps(summary | {"variant": name}))
        config = yaml.safe_load((run / "config.yaml").read_text())
        change(config)
        (run / "config.yaml").write_text(yaml.safe_dump(config))


def test_an_experiment_is_its_own_variant(root: Path) -> None:
    """Runs with overrides, and those on random data, do not make its name ambiguous."""
    (own,) = root.glob("toy_fast/*")
    other(root, "1" * 10, lambda config: config["optimizer"].update(lr=0.25))
    other(root, "2" * 10, lambda config: config["data"].update(synthetic=64))
    assert f"A: toy_fast/{own.name} (n=2)" in invoke("compare", "toy_fast", "toy_slow").output
    shutil.rmtree(own)
    assert "A: toy_fast/1111111111" in invoke("compare", "toy_fast", "toy_slow").output
    shutil.rmtree(root / "toy_fast" / "2222222222")
    other(root, "3" * 10, lambda config: config["optimizer"].update(lr=0.125))
    said = r"2 variants; name one of toy_fast/1{10} \(optimizer\.lr=0\.25\), toy_fast/3{10} "
    with pytest.raises(BadRequest, match=said):
        invoke("compare", "toy_fast", "toy_slow")


def test_a_default_that_a_record_leaves_away_is_no_difference() -> None:
    full = {"loss": {"name": "supcon", "temperature": 0.1}, "engine": {"epochs": 3}, "seed": 0}
    short = {**full, "engine": {"epochs": 3, "devices": 1}, "loss": {"name": "supcon"}}
    assert list(config_difference(recorded(full), recorded(short))) == []
    focal = {**full, "loss": {"name": "ntxent", "temperature": 0.1}}
    assert list(config_difference(recorded(full), recorded(focal))) == [
        ("loss", "supcon", "ntxent")
    ]


def recorded(config: dict[str, Any]) -> Side:
    line = {"config": config}
    return Side("x", [Record("x", "0" * 10, 0, None, "finished", {}, Path("x.jsonl"), line)])
