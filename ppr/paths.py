"""Paths as a user writes them."""

from __future__ import annotations

from pathlib import Path

from ppr.errors import BadRequest


def expanded(path: str | Path, named: str) -> Path:
    """A path with `~` as a home; `named` is where the user wrote it.

    Raises:
        BadRequest: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadRequest(f"{named}={path}: there is no such user's home; write it out") from None
