"""Published runs, `<name>.jsonl`: a line a run, which holds what tells it from one before it.

    {"summary": {...}, "config": {...}, "environment": {...}}            the first of a file
    {"like": "850982878b", "summary": {"seed": 1, "metrics": {...}, ...}}

`like` is the beginning of another run's digest: of the first run of the same variant, else of the
same experiment, else of the file. Read, a line is that run with what the line says in place of what
was there; `"~": [...]` names keys that are not. A list of numbers where that run has a mapping is
the values of its keys, all of them, sorted by key: `"metrics": [0.93, 0.21]`. Of the parts that
repeat the summary (the config's experiment, scale and seed, the environment's code, the best
epoch's metrics where the last epoch is the best), those that do so in the other run do it here.
So what five seeds share stands there once, and a difference between two commits shows the runs that
differ. The same runs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ppr.errors import RunFailed

_GONE = "~"
_REFERENCE = 8
_REPEATED = (
    *((("config",), key) for key in ("experiment", "scale", "seed")),
    (("environment",), "code"),
    (("summary", "best"), "metrics"),
)
"""Parts of a run that say what its summary says."""


def encode(runs: Iterable[Mapping[str, Any]]) -> str:
    """The content of a file of runs, each with its summary, config and environment."""
    first: dict[tuple[str, ...], Mapping[str, Any]] = {}
    lines = []
    for run in runs:
        summary = run["summary"]
        groups = (summary["experiment"], summary["variant"]), (summary["experiment"],), ()
        base = next((first[group] for group in groups if group in first), None)
        line = dict(run)
        if base is not None:
            line = {"like": _reference(base), **_difference(_following(base, summary), run)}
        if summary.get("digest"):  # by which others refer to it
            for group in groups:
                first.setdefault(group, run)
        lines.append(json.dumps(line, separators=(",", ":"), allow_nan=False))
    return "".join(f"{line}\n" for line in lines)


class Reader:
    """Makes whole runs of a file's lines, one after the other."""

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, Any]] = {}

    def whole(self, line: Any) -> dict[str, Any]:
        """The run of a line.

        Raises:
            RunFailed: it is none, or is like one that is not there.
        """
        if not isinstance(line, dict):
            raise RunFailed("not a JSON object")
        run = line
        if "like" in line:
            base = self._known.get(str(line["like"]))
            if base is None:
                raise RunFailed(f"like the run {line['like']}, which is not in the lines before it")
            said = {key: line[key] for key in line if key != "like"}
            summary = _applied(base, said).get("summary")
            followed = _following(base, summary) if isinstance(summary, dict) else base
            run = _applied(followed, said)
        if isinstance(run.get("summary"), dict):
            self._known.setdefault(_reference(run), run)
        return run


def _reference(run: Mapping[str, Any]) -> str:
    return str(run["summary"].get("digest"))[:_REFERENCE]


def _following(base: Mapping[str, Any], summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run with its summary's place taken by another summary in the parts that repeat it."""
    found = dict(base)
    for path, key in _REPEATED:
        held: Any = base
        for part in path:
            held = held.get(part) if isinstance(held, dict) else None
        if not isinstance(held, dict) or key not in held or key not in summary:
            continue
        if held[key] == base["summary"].get(key):
            found = _replaced(found, (*path, key), summary[key])
    return found


def _replaced(node: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    inner = value if len(path) == 1 else _replaced(node[path[0]], path[1:], value)
    return {**node, path[0]: inner}


def _difference(base: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    order = [*(key for key in base if key in run), *(key for key in run if key not in base)]
    for key in order:
        before, value = base.get(key), run[key]
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := _difference(before, value):
                values = _values(before, value)
                found[key] = inner if values is None else min(values, inner, key=_length)
        elif key not in base or json.dumps(before) != json.dumps(value):  # 1 is not 1.0 here
            found[key] = value
    lists = [key for key in found if isinstance(run[key], list) and isinstance(base.get(key), dict)]
    if gone := sorted([*(key for key in base if key not in run), *lists]):
        found[_GONE] = gone
    return found


def _length(value: Any) -> int:
    return len(json.dumps(value))


def _values(base: Mapping[str, Any], node: Mapping[str, Any]) -> list[Any] | None:
    """A mapping's numbers in the order of another with the same keys all the way down."""
    if base.keys() != node.keys():
        return None
    found: list[Any] = []
    for key in sorted(base):
        before, value = base[key], node[key]
        if isinstance(before, dict) != isinstance(value, dict):
            return None
        if isinstance(before, dict):
            inner = _values(before, value)
        else:
            inner = [value] if isinstance(value, int | float) else None
        if inner is None:
            return None
        found += inner
    return found


def _with_values(base: Mapping[str, Any], values: Iterator[Any]) -> dict[str, Any]:
    return {
        key: _with_values(before, values) if isinstance(before, dict) else next(values, None)
        for key, before in sorted(base.items())
    }


def _applied(base: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    gone = line.get(_GONE, ())
    found = {key: value for key, value in base.items() if key not in gone}
    for key, value in line.items():
        before = found.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            found[key] = _applied(before, value)
        elif isinstance(value, list) and isinstance(before, dict):
            found[key] = _with_values(before, iter(value))
        elif key != _GONE:
            found[key] = value
    return found
