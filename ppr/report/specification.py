"""The specification curve of a claim, as lines of text and as a picture.

Each universe is a line, sorted by its effect (Simonsohn, Simmons and Nelson, 2020), with its 95 %
interval; the table itself is among them. To the right of 0 lies the direction claimed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ppr.display.plot import COLOURS, write_figure
from ppr.papers.robustness import Effect, Multiverse
from ppr.papers.schema import Paper
from ppr.papers.verdict import Verdict

OWN = "the table itself"
_BAR = 31
"""Characters of a drawn interval."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A line of the curve. `own`: of the table itself; `says`: what is otherwise in it."""

    name: str
    says: str
    effect: Effect
    own: bool

    @property
    def label(self) -> str:
        return self.name if self.says in ("", self.name) else f"{self.name}: {self.says}"

    @property
    def ends(self) -> tuple[float, float]:
        half = self.effect.half_width or 0.0
        return self.effect.estimate - half, self.effect.estimate + half


@dataclass(frozen=True, slots=True)
class Curve:
    """`unit`: of the effects; `seeds`: of a universe that takes runs of its own. `missing`, `off`:
    universes that have not run, or are not asked."""

    claim: str
    says: str
    told: str
    unit: str
    seeds: int
    specs: list[Spec]
    missing: list[str]
    off: list[str]

    def at(self, value: float) -> float:
        """Where a value lies within the span: 0 at its left end, 1 at its right.

        Where all effects are 0, without an interval, the span is a point: the middle.
        """
        low, high = self.span
        return (value - low) / (high - low) if high > low else 0.5

    @property
    def span(self) -> tuple[float, float]:
        """The effects' range, 0 within it, with room for the intervals up to twice as wide.

        Of two seeds an interval may be many times as wide as all effects lie apart.
        """
        means = [0.0, *(spec.effect.estimate for spec in self.specs)]
        low, high = min(means), max(means)
        if low == high:
            return -1.0, 1.0
        room = high - low or 1.0
        ends = [end for spec in self.specs for end in spec.ends]
        return max(min([low, *ends]), low - room / 2), min(max([high, *ends]), high + room / 2)


def curve(paper: Paper, verdict: Verdict) -> Curve | None:
    """None for a claim without universes, or before the table itself has run."""
    found: Multiverse = verdict.multiverse
    if found.own is None or not found.specifications:
        return None
    table = paper.tables[verdict.table]
    specs = [Spec(OWN, "", found.own, True)]
    specs += [Spec(each.name, each.says, effect, False) for each, effect in found.run]
    specs.sort(key=lambda spec: (spec.effect.estimate, not spec.own))
    missing = [
        f"{each.name} ({each.done} of {each.asked} runs)"
        if each.done < each.asked
        else f"{each.name} (its runs have no such metric)"
        for each in found.counted
        if each.effect is None
    ]
    off = [f"{name}: {why}" for name, why in found.off.items()]
    off += [f"{s.name}: changes no number here" for s in found.specifications if s.same]
    told = found.told(verdict.outcome)
    seeds = table.few
    return Curve(verdict.claim, verdict.says, told, table.unit, seeds, specs, missing, off)


def lines(curve: Curve) -> Iterator[str]:
    """The curve as text, a line a universe: its effect, where that lies, and what is otherwise."""
    unit = f", in {curve.unit}" if curve.unit else ""
    yield f"{curve.claim}: {curve.told}" if curve.told else f"{curve.claim}:"
    few = f"{curve.seeds} {'seed' if curve.seeds == 1 else 'seeds'} a universe"
    yield f"specification curve: effect{unit}, as claimed where above 0; {few}"
    names = max(len(spec.name) for spec in curve.specs)
    texts = [number(spec.effect) for spec in curve.specs]
    width = max(map(len, texts))
    for spec, text in zip(curve.specs, texts, strict=True):
        says = "" if spec.says == spec.name else f"  {spec.says}"
        yield f"  {spec.name:<{names}}  {text:>{width}}  {_bar(curve, spec)}{says}".rstrip()
    if curve.missing:
        yield f"  not run: {', '.join(curve.missing)}"
    for each in curve.off:
        yield f"  not asked: {each}"


def number(effect: Effect) -> str:
    """`+0.63 ± 0.17`; without its interval where there is none."""
    if effect.half_width is None:
        return f"{effect.estimate:+.4g}"
    return f"{effect.estimate:+.3g} ± {effect.half_width:.2g}"


def _bar(curve: Curve, spec: Spec) -> str:
    """`──────●────`, with a bar at 0; an end that lies outside is an arrow."""
    at = [round(curve.at(x) * (_BAR - 1)) for x in (*spec.ends, 0.0, spec.effect.estimate)]
    left, right, zero, middle = (min(max(x, 0), _BAR - 1) for x in at)
    drawn = [" "] * _BAR
    drawn[zero] = "│"
    for x in range(left, right + 1):
        drawn[x] = "┼" if x == zero else "─"
    if at[0] < 0:
        drawn[0] = "‹"
    if at[1] > _BAR - 1:
        drawn[-1] = "›"
    drawn[middle] = "◆" if spec.own else "●"
    return "".join(drawn)


def save(curve: Curve, path: Path) -> None:
    """Draw the curve into a file, .svg, .png or .pdf; the same curve gives the same bytes.

    Raises:
        BadRequest: another suffix.
        RunFailed: the file cannot be written.
    """
    with write_figure(path) as figure:
        figure.set_size_inches(6.4, 1.5 + 0.34 * len(curve.specs))
        axes = figure.add_subplot()
        low, high = curve.span
        room = 0.04 * (high - low)
        axes.set_xlim(low - room, high + room)
        axes.axvline(0, color="0.4", linewidth=1)
        for place, spec in enumerate(curve.specs):
            colour = "black" if spec.own else COLOURS[0 if spec.effect.holds else 1]
            axes.plot(spec.ends, [place, place], color=colour, linewidth=1.6)
            mark = "D" if spec.own else "o"
            axes.plot([spec.effect.estimate], [place], mark, color=colour, markersize=6)
        axes.set_yticks(range(len(curve.specs)), [spec.label for spec in curve.specs])
        axes.set_ylim(-0.6, len(curve.specs) - 0.4)
        unit = f" ({curve.unit})" if curve.unit else ""
        axes.set_xlabel(f"effect{unit}; the claimed direction is to the right of 0")
        axes.set_title(f"{curve.claim}: {curve.told}", fontsize="medium", loc="left")
        axes.grid(axis="x", color="0.9", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
