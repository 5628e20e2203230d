"""Every experiment that ships composes, and those that together hold every pairing of parts run.

What a step on random data can find beyond composing lies in how two components meet: a task with
its loss, model, data set or optimizer, a loss with an evaluator. So an experiment whose pairings
all occur in others is composed and not run, and a paper's further settings cost a composition each.
"""

from __future__ import annotations

import pytest

from ppr.cli.check import check_experiment
from ppr.config import bodies, places, usage
from ppr.config.compose import compose

EXPERIMENTS = places.config_files("experiment")
_NO_PART = {"launcher", "tracker", "sweeper", "schedule"}
"""Groups that act alike on whatever they meet: tests of their own hold them."""

Pair = tuple[tuple[str, str], tuple[str, str]]


def pairings(name: str) -> set[Pair]:
    """(task, part) and (loss, evaluator) of an experiment, read without composing it."""
    chosen = usage.choices_by_experiment()[name]
    parts = [
        (kind, usage.component_of(kind, option))
        for kind, options in sorted(chosen.items())
        if kind not in _NO_PART
        for option in options
    ]
    tasks = [part for part in parts if part[0] == "task"]
    losses = [part for part in parts if part[0] == "loss"]
    measured = [part for part in parts if part[0] == "evaluator"]
    return {(task, part) for task in tasks for part in parts} | {
        (loss, evaluator) for loss in losses for evaluator in measured
    }


def scale(name: str) -> str | None:
    """What an experiment, or the last that it starts from and that says so, has as its scale."""
    said = bodies.option_body(f"experiment/{name}").get("scale")
    parents, _ = bodies.defaults(f"experiment/{name}")
    return said or next(filter(None, map(scale, reversed(parents))), None)


def covering() -> list[str]:
    """Experiments that together have every pairing: the one with most new ones first.

    A step of one at paper scale takes as long as dozens at desk scale: they have what is left.
    """
    held = {name: pairings(name) for name in EXPERIMENTS}
    left = set().union(*held.values())
    found = []
    for dear in (False, True):
        pool = [name for name in sorted(held) if (scale(name) == "paper") <= dear]
        while best := max(pool, key=lambda name: len(held[name] & left), default=None):
            if not held[best] & left:
                break
            found.append(best)
            left -= held[best]
    return sorted(found)


COVERING = covering()


def test_every_pairing_is_tried() -> None:
    tried = set().union(*(pairings(name) for name in COVERING))
    assert tried == set().union(*(pairings(name) for name in EXPERIMENTS))


@pytest.mark.parametrize("name", COVERING)
def test_a_step_on_random_data_is_taken(name: str) -> None:
    check_experiment(name)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_composes_and_says_what_it_is(name: str) -> None:
    config = compose([f"experiment={name}"])
    assert config.experiment == name
    assert usage.headline(EXPERIMENTS[name])
    for group, options in usage.choices_by_experiment()[name].items():
        built = {usage.component_of(group, option) for option in options}
        node = config[group]
        nodes = node.values() if group == "evaluator" else [node]
        assert {part["name"].split("/")[0] for part in nodes} == built
