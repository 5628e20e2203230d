"""A specification curve as lines of text and on the page, from effects that are given."""

from __future__ import annotations

import re

import pytest

from ppr.papers.robustness import Effect
from ppr.report.site import _Site
from ppr.report.specification import Curve, Spec, lines


def effect(estimate: float, half_width: float | None = None) -> Effect:
    return Effect(estimate, half_width, estimate > 0, "A, x", 2)


def curve(*specs: tuple[str, float, float | None]) -> Curve:
    found = [Spec(name, f"{name}=1", effect(x, half), name == "own") for name, x, half in specs]
    return Curve("c", "says", "fragile: <b>", "%", 2, found, ["wide (0 of 4 runs)"], ["draw: why"])


DRAWN = curve(("<b>", -1.0, 0.5), ("own", 1.0, 0.25), ("exact", 2.0, None), ("loose", 2.5, 90.0))


def test_zero_the_effect_and_its_interval_lie_where_they_are_on_the_scale() -> None:
    text = list(lines(DRAWN))
    strips = [line[line.index("%") :] if "%" in line else line for line in text[2:6]]
    zero = {line.index("│") for line in strips[1:3]}
    assert len(zero) == 1
    (at,) = zero
    assert strips[0].index("●") < at < strips[1].index("◆") < strips[2].index("●")
    assert "─" not in strips[2]
    assert strips[3].count("‹") == strips[3].count("›") == 1


def test_of_effects_all_above_zero_it_is_still_there() -> None:
    found = curve(("a", 5.0, None), ("b", 6.0, None))
    assert found.at(0.0) >= 0
    assert sum("│" in line for line in lines(found)) == 2


def test_of_effects_all_alike_the_scale_has_a_length() -> None:
    assert list(lines(curve(("a", 0.0, None), ("b", 0.0, None))))


def test_the_page_shows_each_universe_and_escapes_its_name() -> None:
    template = '{% from "parts.html" import specification %}{{ specification(curve) }}'
    page = _Site()._pages.from_string(template).render(curve=DRAWN)
    assert "<b>" not in page
    assert page.count("<tr") == 5
    assert page.count('<tr class="turned"') == 1
    assert "Not run: wide (0 of 4 runs)" in page
    assert "Not asked: draw: why" in page
    centres = [float(x) for x in re.findall(r'cx="([-.0-9]+)"', page)]
    assert centres == sorted(centres)
    assert all(0 <= x <= 200 for x in centres)
    ends = [float(x) for x in re.findall(r'class="whisker" x1="([-.0-9]+)"', page)]
    assert min(ends) >= -6


@pytest.mark.parametrize(("half", "text"), [(None, "+1.235"), (0.123, "+1.23 ± 0.12")])
def test_an_effect_has_its_sign_and_an_interval_where_there_is_one(
    half: float | None, text: str
) -> None:
    (line,) = (line for line in lines(curve(("a", 1.2346, half))) if line.startswith("  a"))
    assert line.split("  ")[2].strip() == text
