"""The universes that a table has by itself: what each makes of a composed config."""

import pytest

from ppr.config.compose import compose
from ppr.errors import BadRequest
from ppr.papers.claim_schema import KINDS
from ppr.papers.defaults import METRICS, Facts, equal_passes, facts, other_metric
from ppr.papers.files import find_all, folders, read
from ppr.papers.plans import plan
from ppr.papers.universe_schema import DEFAULTS
from ppr.papers.words import factor


def words_of(*words: str) -> dict[str, str]:
    return dict(facts(compose(words).values).words)


def test_a_trained_table_has_five_without_a_word() -> None:
    found = words_of("experiment=supcon_digits", "engine.epochs=7", "optimizer.lr=0.03")
    assert found == {
        "longer": "engine.epochs=28",
        "higher_rate": "optimizer.lr=0.09",
        "lower_rate": "optimizer.lr=0.01",
        "draw": "dataset.split_seed=1",
        "width": found["width"],
    }
    before = compose(["experiment=supcon_digits"]).values["model"]
    after = compose(["experiment=supcon_digits", found["width"]]).values["model"]
    assert before != after


def test_steps_that_end_a_run_before_its_epochs_are_four_times_as_many_too() -> None:
    found = words_of("experiment=supcon_digits", "engine.max_steps=50", "engine.epochs=6")
    assert found["longer"] == "engine.max_steps=200 engine.epochs=24"


def test_a_task_with_rounds_or_passes_of_its_own_is_longer_by_these() -> None:
    assert words_of("experiment=federated_digits")["longer"].startswith("task.rounds=")
    assert words_of("experiment=plasticity_digits")["longer"].startswith("sampler.passes=")


def test_a_study_is_larger_and_longer_by_fields_of_its_own() -> None:
    found = words_of("experiment=ccem_optimum", "task.pairs=6", "task.steps=500")
    assert found == {"larger": "task.pairs=12", "longer": "task.steps=2000"}


def test_noise_is_drawn_anew_with_the_split() -> None:
    found = words_of("experiment=ce_digits", "dataset.noise=0.4", "dataset.noise_seed=3")
    assert found["draw"] == "dataset.split_seed=1 dataset.noise_seed=4"


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        (["dataset=cifar10", "dataset.validation=0"], False),
        (["dataset=cifar10", "dataset.limit=300", "dataset.validation=0"], True),
        (["dataset=cifar10", "dataset.validation=5000"], True),
        (["dataset=digits"], True),
    ],
)
def test_a_published_split_that_is_taken_whole_is_drawn_by_nothing(
    words: list[str], drawn: bool
) -> None:
    values = compose(["experiment=ce_digits"]).values
    data = compose(["experiment=ce_digits", *words]).values["dataset"]
    assert ("draw" in facts({**values, "dataset": data}).words) == drawn


def test_an_arm_of_two_views_has_twice_the_passes_and_the_other_is_trained_for_as_many() -> None:
    one, two = (
        facts(compose([f"experiment={name}", "engine.epochs=5"]).values)
        for name in ("ce_digits", "supcon_digits")
    )
    assert two.passes == 2 * one.passes
    same = Facts(one.words, one.length, one.passes, two.data)
    assert equal_passes([same, two]) == ["engine.epochs=10", None]
    assert equal_passes([two, two]) == []
    assert equal_passes([one, Facts(two.words, two.length, two.passes, "others")]) == []


def test_a_second_gradient_of_each_step_is_a_pass() -> None:
    sgd, sam = (facts(compose([f"experiment={n}_digits"]).values) for n in ("sgd", "sam"))
    twice = facts(compose(["experiment=sgd2x_digits"]).values)
    assert sam.passes == 2 * sgd.passes == twice.passes


def test_another_metric_is_of_evaluators_that_the_runs_have() -> None:
    assert other_metric("untrained/linear/top1", ["linear", "knn"]) == "untrained/knn/top1"
    assert other_metric("linear/top1", ["linear"]) is None
    assert other_metric("measured/gap", []) is None
    assert all(METRICS.get(other, metric) != other for metric, other in METRICS.items())


@pytest.mark.parametrize("slug", ["supcon", "ccem_siglip", "psl", "sam", "pot_gcl"])
def test_each_default_of_a_paper_composes_and_changes_its_cells(slug: str) -> None:
    paper = read(find_all(folders())[slug])
    for name in paper.claims:
        cells = [cell for group in plan(paper, name) for cell in group]
        if paper.claims[name].kind != KINDS[0] or cells[0].table.scale != "desk":
            continue
        for cell in cells[:2]:
            own = compose(cell.overrides)
            found = facts(own.values).words
            assert found.keys() <= DEFAULTS.keys()
            for words in found.values():
                assert compose([*cell.overrides, *words.split()]).variant != own.variant


def test_a_factor_is_read_from_its_word() -> None:
    assert factor("optimizer.lr*=3") == ("optimizer.lr", 3.0)
    assert factor("model.hidden*=0.5") == ("model.hidden", 0.5)
    assert factor("optimizer.lr=3") is None


def test_no_field_no_universe() -> None:
    with pytest.raises(BadRequest):
        compose(["experiment=ce_digits", "task.steps=1"])
    assert "larger" not in words_of("experiment=ce_digits")
