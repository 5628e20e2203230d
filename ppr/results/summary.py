"""`summary.json`, whose being there whole is what "finished" means: the one reader of it.

A summary that is torn, was edited into something else, is of another run or of another schema
finishes nothing, whoever asks: a run, a sweep, an input, a table or a tracker.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

import ppr
from ppr.errors import RunFailed
from ppr.results.files import parse_json
from ppr.results.metrics import faults

SUMMARY = "summary.json"
SCHEMA = 1
_NEEDED = {"experiment": str, "variant": str, "seed": int, "metrics": dict}
_OBJECTS = ("untrained", "best", "protocol", "data", "cost", "code")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """The summary of the run whose directory is `<experiment>/<variant>/seed=<n>`, None without.

    Raises:
        RunFailed: it is damaged, of another run, or of another schema; says which.
    """
    try:
        data = Path(folder, SUMMARY).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunFailed(f"{SUMMARY}: cannot read: {error.strerror or error}") from error
    summary = check_summary(parse_json(data, SUMMARY))
    says = f"{summary['experiment']}/{summary['variant']}/seed={summary['seed']}"
    if says != "/".join(folder.parts[-3:]):
        raise RunFailed(f"{SUMMARY} is of another run: {says}")
    return summary


def check_summary(summary: Any) -> dict[str, Any]:
    """The summary, once it is known to be one that this version can use.

    Raises:
        RunFailed: it is not; says why.
    """
    if not isinstance(summary, dict):
        raise RunFailed(f"{SUMMARY}: not a JSON object")
    if summary.get("schema") != SCHEMA or isinstance(summary["schema"], bool):
        raise RunFailed(f"{SUMMARY}: {_other_schema(summary)}")
    for name, kind in _NEEDED.items():
        value = summary.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise RunFailed(f"{SUMMARY}: {name} is {short(value)}, not {kind.__name__}")
    for name in _OBJECTS:
        if not isinstance(summary.get(name) or {}, dict):
            raise RunFailed(f"{SUMMARY}: {name} is {short(summary[name])}, not an object")
    if not isinstance((summary.get("best") or {}).get("metrics") or {}, dict):
        raise RunFailed(f"{SUMMARY}: best.metrics is not an object")
    try:
        for fault in faults(summary):
            raise RunFailed(f"{SUMMARY}: {fault}")
    except RecursionError:
        raise RunFailed(f"{SUMMARY}: its metrics are nested too deep") from None
    return summary


def _other_schema(summary: Mapping[str, Any]) -> str:
    """Which schema a summary has, which ppr wrote it, and what this one reads."""
    code = summary.get("code")
    writer = code.get("version") if isinstance(code, dict) else None
    by = f", written by ppr {short(writer)[1:-1]}" if isinstance(writer, str) else ""
    return f"schema {short(summary.get('schema'))}{by}; ppr {ppr.__version__} reads {SCHEMA}"
