"""The types a component's config fields may have, with their ranges.

A component's config fields are the keyword-only parameters of its class or function. The registry
reads their annotations from the source, without importing or evaluating it; so a field's type is
spelt with the names of this module, with `bool`, `int`, `float`, `str`, `list`, `dict`, `None` and
`|`, as `Literal["a", "b"]`, or as `Annotated[int, Ge(2)]`.
"""

from __future__ import annotations

import ast
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Interval, Le, Lt

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Interval(ge=0, le=1)]
BelowOne = Annotated[float, Interval(ge=0, lt=1)]
"""The weight of the past in a moving average, a momentum: at 1 nothing new would ever come in."""
Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]

__all__ = [
    "Annotated",
    "BelowOne",
    "Count",
    "Fraction",
    "Ge",
    "Literal",
    "NonNegative",
    "Positive",
    "Whole",
]

_NAMED = {
    "bool": bool, "int": int, "float": float, "str": str, "list": list, "dict": dict,
    "Positive": Positive, "NonNegative": NonNegative, "Fraction": Fraction, "Count": Count,
    "Whole": Whole, "BelowOne": BelowOne,
}  # fmt: skip
_BOUNDS = {"Ge": Ge, "Gt": Gt, "Le": Le, "Lt": Lt, "Interval": Interval}


def type_of(annotation: ast.expr) -> Any:  # noqa: PLR0911  a case each
    """The type that an annotation spells; nothing of it is evaluated.

    Raises:
        ValueError: it is no type of a field; says which part.
    """
    match annotation:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return type_of(ast.parse(text, mode="eval").body)
        case ast.Name(id=name) if name in _NAMED:
            return _NAMED[name]
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return Union[type_of(left), type_of(right)]  # noqa: UP007  no `|` before it is run
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[type_of(item)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return dict[type_of(key), type_of(value)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=said):
            words = said.elts if isinstance(said, ast.Tuple) else [said]
            if all(isinstance(word, ast.Constant) for word in words):
                return Literal[tuple(ast.literal_eval(word) for word in words)]
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[base, *bounds])):
            if bounds:
                return Annotated[(type_of(base), *map(_bound, bounds))]
    raise ValueError(f"{ast.unparse(annotation)!r} is not a type of ppr.fields")


def _bound(node: ast.expr) -> Any:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=named) if name in _BOUNDS:
            values = {key.arg: ast.literal_eval(key.value) for key in named if key.arg}
            try:
                return _BOUNDS[name](*map(ast.literal_eval, args), **values)
            except TypeError as error:
                raise ValueError(f"{ast.unparse(node)!r}: {error}") from None
    raise ValueError(f"{ast.unparse(node)!r} is not a bound: {', '.join(_BOUNDS)}")
