"""Choose runs by words: `experiment=supcon_*`, `state=failed`, `loss.temperature=0.1`, `supcon`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, get_args

from ppr.errors import BadRequest, RunFailed, choices
from ppr.results.metrics import flatten
from ppr.results.tree import Problem, Record, Scan, State

_IDENTITY = ("experiment", "variant", "seed", "state", "published")


def select(scan: Scan, filters: Iterable[str]) -> Scan:
    """The runs that match every filter.

    A filter is `key=pattern[,pattern...]`, a pattern a number or a glob, the key one of experiment,
    variant, seed, state, published, or a key of the config (`scale`, `loss`, `loss.temperature`). A
    word without "=" names an experiment, or a variant by its first digits. Configs are read only
    for the runs that the other filters leave.

    Raises:
        BadRequest: a key, experiment, variant or state that there is not.
    """
    words = list(filters)
    chosen, problems = scan.records, list(scan.problems)
    # Cheap filters first: they need no file.
    for word in sorted(words, key=_needs_config):
        key, is_pair, pattern = word.partition("=")
        if not is_pair:
            wanted = {id(record) for record in named(scan.records, word)}
            chosen = [record for record in chosen if id(record) in wanted]
        elif key in _IDENTITY:
            _check_identity(scan.records, key, pattern)
            chosen = [record for record in chosen if matches(getattr(record, key), pattern)]
        else:
            chosen, unread = _by_config(chosen, key, pattern)
            problems += unread
    return Scan(chosen, problems)


def _needs_config(word: str) -> bool:
    return "=" in word and word.partition("=")[0] not in _IDENTITY


def named(records: Sequence[Record], word: str) -> list[Record]:
    """The runs of the experiment, or of the variants whose id starts with, `word`.

    Raises:
        BadRequest: there is no such run.
    """
    found = [record for record in records if fnmatchcase(record.experiment, word)]
    found = found or [record for record in records if record.variant.startswith(word)]
    if not found:
        known = {record.experiment for record in records}
        raise BadRequest(f"no run of an experiment or variant {word!r}: {choices(word, known)}")
    return found


def _check_identity(records: Sequence[Record], key: str, pattern: str) -> None:
    """Refuse what is probably a slip; that no run has failed, or seed 7, is an answer."""
    if key == "seed":
        return
    known = {str(getattr(record, key)) for record in records}
    if key == "state":
        known = set(get_args(State)) - {"absent"}
    elif key == "published":
        known = {"true", "false"}
    for option in pattern.split(","):
        if not any(matches(value, option) for value in known):
            raise BadRequest(f"{key}={option}: no such run; {choices(option, known)}")


def _by_config(
    records: Sequence[Record], key: str, pattern: str
) -> tuple[list[Record], list[Problem]]:
    chosen, problems = [], []
    known: set[str] = set()
    for record in records:
        if key == "scale" and "scale" in record.summary:  # saves reading a file a run
            values = {key: record.summary["scale"]}
        else:
            try:
                values = config_values(record)
            except RunFailed as error:
                reason = str(error).removeprefix(f"{record.source}/")
                problems.append(Problem(record.source, reason))
                continue
        known.update(values)
        # A component is named by its own name: loss=supcon.
        value = values.get(key, values.get(f"{key}.name", _ABSENT))
        if value is not _ABSENT and matches(value, pattern):
            chosen.append(record)
    named_parts = {name.removesuffix(".name") for name in known}
    if known and key not in known | named_parts:
        options = known | named_parts | set(_IDENTITY)
        raise BadRequest(f"{key}={pattern}: no run has that key; {choices(key, options)}")
    return chosen, problems


_ABSENT = object()


def config_values(record: Record) -> dict[str, Any]:
    """The config of a run, by dotted key."""
    return flatten(record.config(), ".")


def matches(value: Any, pattern: str) -> bool:
    """Whether a value is one of the comma-separated numbers or globs of `pattern`."""
    return any(_matches_one(value, option) for option in pattern.split(","))


def _matches_one(value: Any, option: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(option) == value
        except ValueError:
            pass
    words = {None: "null", True: "true", False: "false"}
    shown = words[value] if value is None or isinstance(value, bool) else str(value)
    return fnmatchcase(shown, option)
