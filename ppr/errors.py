"""Errors as a user sees them: one line; what is wrong, where, what is allowed, what was meant."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable


class PprError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        """The line, less what no one would read of a word of thousands of letters."""
        line = re.sub(
            r"\S{400,}", lambda word: f"{word[0][:60]}…{word[0][-20:]}", super().__str__()
        )
        return line if len(line) <= 3000 else f"{line[:2000]} … {line[-800:]}"


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
    name = name[:100]  # what is longer is near to nothing, and takes long to compare
    meant = nearest(name, known)
    near = f"did you mean {meant!r}? " if meant else ""
    if not known:
        return near + "there are none"
    shown = known
    if len(known) > limit:
        close = difflib.get_close_matches(name, known, n=limit, cutoff=0.3)
        others = (option for option in known if option not in close)
        shown = [*close, *itertools.islice(others, limit - len(close))]
    more = "" if len(shown) == len(known) else f", … ({len(known)} in all)"
    return f"{near}allowed: {', '.join(shown)}{more}"
