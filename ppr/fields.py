"""The types a component's config fields may have, with their ranges.

A component's config fields are the keyword-only parameters of its class or function. The registry
reads their annotations from the source, without importing it, and evaluates them with the names of
this module; so a field's type is spelt with these names, with `bool`, `int`, `float`, `str`,
`list`, `dict`, `None`, `|` and `Literal`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]

__all__ = ["Annotated", "Count", "Fraction", "Ge", "Literal", "NonNegative", "Positive", "Whole"]
