"""What a sweep comes to before anything starts: its points, or the space that it searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from hydra.core.override_parser.types import Override, RangeSweep

from ppr import registry
from ppr.config.compose import compose
from ppr.config.composed import Config
from ppr.config.overrides import expand, parse
from ppr.config.places import results_root
from ppr.errors import BadRequest
from ppr.launchers.recorded import Recorded
from ppr.sweepers.records import comparison_record, study_record
from ppr.sweepers.space import Axis, read_axes

_NOT_SWEPT = ("launcher", "sweeper", "tracker", "results", "data.root")


@dataclass(frozen=True)
class Plan:
    """The configs of a sweep's points, all with one launcher and one results tree.

    `search`: the record of a hyper-parameter search. One that learns from its trials has no points
    yet: `configs` is empty, and `space` what a trial's values are asked from.
    """

    configs: list[Config]
    root: Path
    launcher: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)
    space: Sequence[Axis] = ()
    first: Config | None = None

    @property
    def example(self) -> Config:
        """A config of the sweep: the first, or one at the edge of the space."""
        return self.configs[0] if self.first is None else self.first


def make_plan(words: Sequence[str], *, confirmed: bool = False) -> Plan:
    """Compose and check every point of a sweep; nothing is written or started.

    Raises:
        BadRequest: the sweep is empty, contradicts itself, names a field that there is not, asks
            for the same run twice, or is larger than `launcher.confirm_above` and not `confirmed`.
    """
    overrides = parse(words)
    swept = [override for override in overrides if override.is_sweep_override()]
    _check_axes(swept, overrides)
    axes = read_axes(overrides)
    first = compose([_first_word(override, axes) for override in overrides])
    launcher = first["launcher"] or _defaults("local")
    root = results_root(first["results"]["root"])
    sweeper = registry.make("sweeper", first["sweeper"]) if first["sweeper"] else None
    searched = sweeper.searched(axes) if sweeper else []
    lines = {axis.line for axis in searched}
    if sweeper and sweeper.adaptive:
        total = first["sweeper"]["trials"]
    else:
        listed = [axis for axis in swept if axis.input_line not in lines]
        total = math.prod(map(_length, listed)) * (first["sweeper"]["trials"] if sweeper else 1)
    if total > launcher["confirm_above"] and not confirmed:
        hours = _rough_hours(root, first, overrides, axes, total)
        raise BadRequest(
            f"-m: {total:,} runs, {hours}; add --yes to start them all, or sweep over less "
            f"(launcher.confirm_above={launcher['confirm_above']})"
        )
    if sweeper is None:
        configs = [compose(point) for point in expand(words)]
        _refuse_duplicates(configs)
        return Plan(configs, root, launcher)
    if sweeper.adaptive:
        search = study_record(words, first, axes)
        return Plan([], root, launcher, search, axes, first)
    trials = [compose(point) for point in sweeper.points(words, first.seed)]
    configs, search = comparison_record(trials, first, searched)
    return Plan(configs, root, launcher, search, searched)


def _defaults(launcher: str) -> dict[str, Any]:
    """A launcher's config node where the config names none."""
    fields = registry.describe("launcher", launcher).fields.values()
    return {"name": launcher, **{field.name: field.default for field in fields}}


def _check_axes(axes: Sequence[Override], overrides: Sequence[Override]) -> None:
    for axis in axes:
        key, line = axis.key_or_group, axis.input_line
        if not axis.is_discrete_sweep():
            if not any(other.key_or_group == "sweeper" for other in overrides):
                raise BadRequest(
                    f"{line}: a continuous range needs sweeper=random or sweeper=optuna; "
                    "or list values, or use range()"
                )
        elif _length(axis) == 0:
            raise BadRequest(f"{line}: an empty sweep")
        if key in _NOT_SWEPT or key.startswith(tuple(f"{name}." for name in _NOT_SWEPT)):
            raise BadRequest(f"{line}: {key} does not change a result; give it one value")
        lines = [str(other.input_line) for other in overrides if other.key_or_group == key]
        if len(lines) > 1:
            raise BadRequest(
                f"{' and '.join(lines)}: {key} is given {len(lines)} times; give it once"
            )


def _length(axis: Override) -> int:
    """How many values an axis has, without going through a range of millions."""
    value = axis.value()
    if isinstance(value, RangeSweep):
        assert value.start is not None
        assert value.stop is not None
        return max(0, math.ceil((value.stop - value.start) / value.step))
    return sum(1 for _ in axis.sweep_string_iterator())


def _first_word(override: Override, axes: Sequence[Axis]) -> str:
    found = next((axis for axis in axes if axis.line == override.input_line), None)
    return found.first() if found else str(override.input_line)


def _refuse_duplicates(configs: Sequence[Config]) -> None:
    seen: dict[tuple[str, str], Config] = {}
    for config in configs:
        other = seen.setdefault((config.experiment, config.run_id), config)
        if other is not config:
            words = [" ".join(set(a.overrides) - set(b.overrides)) or " ".join(a.overrides)
                     for a, b in ((other, config), (config, other))]  # fmt: skip
            raise BadRequest(f"-m: two points are the same run: {words[0]!r} and {words[1]!r}")


def _rough_hours(
    root: Path, first: Config, overrides: Sequence[Override], axes: Sequence[Axis], total: int
) -> str:
    """About how long so many runs take, told from one of each experiment alone."""
    swept = [axis for axis in overrides if axis.is_sweep_override()]
    named = next((axis for axis in swept if axis.key_or_group == "experiment"), None)
    examples = [first]
    if named:
        examples = [
            compose([word if o is named else _first_word(o, axes) for o in overrides])
            for word in (f"experiment={name}" for name in named.sweep_string_iterator())
        ]
    known = Recorded(root, {config.experiment for config in examples})
    seconds = [known.seconds(config) for config in examples]
    if None in seconds:
        return about(None)
    return about(total * mean(value for value in seconds if value is not None))


def about(seconds: float | None, at_a_time: int = 1) -> str:
    """`about 3.2 hours`; says so where it is not known."""
    if seconds is None:
        return "hours unknown (no such run is recorded yet)"
    seconds /= at_a_time
    side = f", {at_a_time} at a time" if at_a_time > 1 else ""
    if seconds < 90:
        return f"about {seconds:.0f} seconds{side}"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} minutes{side}"
    return f"about {seconds / 3600:,.1f} hours{side}"
