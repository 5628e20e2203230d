"""Two runs, or two groups of seeds, side by side: what differs in config and in results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppr.config.identity import complete
from ppr.errors import BadRequest
from ppr.papers.cells import Resolve
from ppr.papers.comparisons import told_apart, welch
from ppr.results.differences import differing, is_synthetic, of, sciences
from ppr.results.metrics import flatten, metrics
from ppr.results.select import named
from ppr.results.statistics import Interval, mean_interval, t_quantile
from ppr.results.tree import Record, Scan


@dataclass(frozen=True)
class Side:
    """The finished seeds of one variant, or one run."""

    label: str
    records: Sequence[Record]


@dataclass(frozen=True)
class Contrast:
    """One metric of two sides. `difference` is second less first, with Welch's 95 % half-width."""

    metric: str
    first: Interval
    second: Interval
    difference: float
    half_width: float | None
    p_value: float | None


def side(scan: Scan, word: str, resolve: Resolve) -> Side:
    """The runs that a word stands for: a run directory, `experiment/variant[/seed=n]`, the start of
    a variant's id, or an experiment: its own variant, that of no overrides, or else the only one
    that is not of random data.

    Raises:
        BadRequest: no such finished run, or runs of several variants.
    """
    path = Path(word)
    places = [(r, f"{r.experiment}/{r.variant}/seed={r.seed}") for r in scan.records]
    found = [r for r, _ in places if r.path is not None and r.path.resolve() == path.resolve()]
    found = found or [r for r, at in places if at == word or at.startswith(f"{word}/seed=")]
    found = [r for r in found or named(scan.records, word) if r.state == "finished"]
    if not found:
        raise BadRequest(f"{word}: no finished run")
    if len({of(record) for record in found}) > 1:
        found = _own(found, word, resolve)
    single = f"/seed={found[0].seed}" if len(found) == 1 else f" (n={len(found)})"
    return Side(f"{found[0].experiment}/{found[0].variant}{single}", found)


def _own(found: Sequence[Record], word: str, resolve: Resolve) -> list[Record]:
    try:
        own = resolve([f"experiment={word}"])
    except BadRequest:  # an experiment that is gone, or a pattern of several
        own = None
    if own in {of(record) for record in found}:
        return [record for record in found if of(record) == own]
    known = sciences(found)
    real = {variant for variant in known if not is_synthetic(known[variant])}
    if len(real) == 1:
        return [record for record in found if of(record) in real]
    keys = differing(known)
    said = []
    for experiment, variant in sorted(real or known):
        science = known[experiment, variant]
        words = " ".join(f"{key}={science[key]}" for key in keys if key in science)
        said.append(f"{experiment}/{variant} ({words})" if words else f"{experiment}/{variant}")
    raise BadRequest(f"{word}: {len(said)} variants; name one of {', '.join(said)}")


def config_difference(first: Side, second: Side) -> Iterator[tuple[str, Any, Any]]:
    """Each config key that differs, with both values, None for no such key; less a group's seed.

    Defaults that a record leaves away count as said. Of another component the name differs, and
    what fields both have.
    """
    ours, theirs = (flatten(complete(s.records[0].config()), ".") for s in (first, second))
    groups = len(first.records) > 1 or len(second.records) > 1
    for key in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(key), theirs.get(key)
        name = f"{key.rpartition('.')[0]}.name"
        is_field_of_one = key != name and (key in ours) != (key in theirs)
        if is_field_of_one and ours.get(name) != theirs.get(name):
            continue
        if one != other and not (groups and key == "seed"):
            yield key.removesuffix(".name"), one, other


def contrasts(first: Side, second: Side) -> list[Contrast]:
    """Every metric that both sides have, in all of their seeds."""
    ours, theirs = ([metrics(r.summary) for r in each.records] for each in (first, second))
    shared = [key for key in ours[0] if all(key in found for found in (*ours, *theirs))]
    return [_contrast(key, _values(ours, key), _values(theirs, key)) for key in shared]


def _values(found: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [values[key] for values in found]


def _contrast(metric: str, first: list[float], second: list[float]) -> Contrast:
    shift = welch(second, first)
    half_width = p_value = None
    if shift.testable:
        half_width = t_quantile(shift.freedom) * shift.error
        p_value = told_apart(shift)
    means = mean_interval(first), mean_interval(second)
    return Contrast(metric, *means, shift.estimate, half_width, p_value)
