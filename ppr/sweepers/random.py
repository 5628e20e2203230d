"""Random search with the same budget for every method of a comparison, drawn by name.

DomainBed's protocol (Gulrajani & Lopez-Paz 2021, "In search of lost domain generalization",
arXiv 2007.01434), as hparams_registry.py and scripts/train.py of facebookresearch/DomainBed have
it. The words that list values (`experiment=a,b`, `seed=0,1,2`) are the methods of the comparison
and their repetitions; each gets `trials` draws of the words that span an interval. A draw's
generator is seeded by a hash of (seed, trial, the run's seed, name of the field), so that

* one more searched field leaves the draws of the others as they are;
* methods share the draws of a field that they share: their comparison is paired;
* each repetition draws and chooses anew, so the spread over seeds is that of the whole method;
* the first trial of each takes the values that its own experiment gives.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np

from ppr.config.overrides import parse
from ppr.errors import BadRequest
from ppr.fields import Count, Literal
from ppr.registry import component
from ppr.sweepers.space import Axis, read_axes


@component("sweeper")
class Random:
    """
    Args:
        trials: of each method and seed.
        seed: of the draws.
        objective: the validation metric that chooses, as metrics.jsonl has it
            ("validation/knn/top1"); unset: that of engine.monitor.
        direction: which way the objective is better.
        default_first: the first trial takes the experiment's own values, as in DomainBed.
    """

    adaptive = False

    def __init__(
        self,
        *,
        trials: Count = 20,
        seed: int = 0,
        objective: str | None = None,
        direction: Literal["maximise", "minimise"] = "maximise",
        default_first: bool = True,
    ) -> None:
        self.trials, self.seed, self.default_first = trials, seed, default_first

    def searched(self, axes: Sequence[Axis]) -> list[Axis]:
        """The axes that are drawn from; the others are the comparison.

        Raises:
            BadRequest: there are none.
        """
        drawn = [axis for axis in axes if axis.continuous or axis.tagged]
        if not drawn:
            raise BadRequest(
                "sweeper=random: nothing to draw; give a field an interval(low,high), or "
                "tag(draw,choice(…)); without sweeper= the sweep is run as listed"
            )
        return drawn

    def points(self, words: Sequence[str], seed: int) -> list[list[str]]:
        """Every trial's words, method by method; `seed` is that of runs whose words name none."""
        overrides = parse(words)
        axes = {axis.line: axis for axis in read_axes(overrides)}
        drawn = {axis.line for axis in self.searched(list(axes.values()))}
        lines = [str(o.input_line) for o in overrides if not _of_sweeper(o.key_or_group)]
        listed = [
            [axes[line].word(value) for value in axes[line].values]
            if line in axes and line not in drawn
            else [line]
            for line in lines
        ]
        return [
            self._trial(method, trial, seed, axes, drawn)
            for method in itertools.product(*listed)
            for trial in range(self.trials)
        ]

    def _trial(
        self,
        method: Sequence[str],
        trial: int,
        seed: int,
        axes: dict[str, Axis],
        drawn: set[str],
    ) -> list[str]:
        for word in method:
            if word.startswith("seed="):
                seed = int(word.removeprefix("seed="))
        if trial == 0 and self.default_first:
            return [word for word in method if word not in drawn]
        return [
            draw(axes[word], self.seed, trial, seed) if word in drawn else word for word in method
        ]


def draw(axis: Axis, *seeds: int) -> str:
    """The word for a value of an axis, drawn with a generator of its own."""
    key = "/".join([*map(str, seeds), axis.name])
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:16]))
    if not axis.continuous:
        return axis.word(axis.values[random.integers(len(axis.values))])
    low, high = axis.low, axis.high + axis.whole  # an integer's cell is as wide as the others
    if axis.log:
        value = math.exp(random.uniform(math.log(low), math.log(high)))
    else:
        value = random.uniform(low, high)
    if axis.whole:
        return axis.word(min(math.floor(value), axis.high))
    # Six digits can be typed again; they must not round out of the interval.
    return axis.word(min(max(float(f"{value:.6g}"), axis.low), axis.high))


def _of_sweeper(key: str) -> bool:
    return key == "sweeper" or key.startswith("sweeper.")
