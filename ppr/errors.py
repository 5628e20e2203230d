"""Errors as a user sees them: one line; what is wrong, where, what is allowed, what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PprError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_code = 1


class BadRequest(PprError):
    """The request itself is wrong (a name, a field, a value, a missing input): exit code 2."""

    exit_code = 2


class RunFailed(PprError):
    """The request was fine, the run was not (diverged, disk full, data torn): exit code 1."""


def nearest(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was probably meant to be, or None.

    Edit distance, not prefix: transposed and missing letters are the common slips.
    """
    found = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return found[0] if found else None


def choices(name: str, options: Iterable[str], limit: int = 12) -> str:
    """The tail of an error about an unknown `name`: the nearest option, then what there is."""
    known = sorted(set(options))
    meant = nearest(name, known)
    near = f"did you mean {meant!r}? " if meant else ""
    if not known:
        return near + "there are none"
    shown = known
    if len(known) > limit:
        close = difflib.get_close_matches(name, known, n=limit, cutoff=0.3)
        shown = close or known[:limit]
    more = "" if len(shown) == len(known) else f", … ({len(known)} in all)"
    return f"{near}allowed: {', '.join(shown)}{more}"
