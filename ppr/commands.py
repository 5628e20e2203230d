"""The commands that ppr prints: with the folders of one's own that the command line named.

What is printed is pasted as it is: into the same shell, so that a variable (PPR_PLUGINS) goes on to
say what it says, but `--plugin` and `--config-dir` have to be said again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

TAKE_CONFIG_DIR = frozenset({
    "check", "compare", "evaluate", "export", "paper", "papers", "plot", "publish", "report",
    "reproduce", "results", "run", "schema", "table", "track", "verify",
})  # fmt: skip
"""Commands that have the option --config-dir."""

_given: dict[tuple[str, str], None] = {}


def begin(plugins: Iterable[str]) -> None:
    """A command line begins, with these given as --plugin."""
    _given.clear()
    note(("--plugin", path) for path in plugins)


def note(options: Iterable[tuple[str, str]]) -> None:
    """Remember options, `--plugin` or `--config-dir`, and the path of each as it was typed."""
    _given.update(dict.fromkeys(options))


def given() -> tuple[tuple[str, str], ...]:
    """The options noted, for the processes that go on with this one's work."""
    return tuple(_given)


def command_line(name: str, *words: str) -> str:
    """`ppr NAME WORDS…` as a shell reads it, with the options that this process was given."""
    plugins = [part for pair in _given if pair[0] == "--plugin" for part in pair]
    folders = [part for pair in _given if pair[0] == "--config-dir" for part in pair]
    own = folders if name in TAKE_CONFIG_DIR else []
    return shlex.join(["ppr", *plugins, name, *own, *words])
