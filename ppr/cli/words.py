"""The KEY=VALUE words of a command, with completion from the configs and the registry."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem


class Words(click.ParamType[str]):
    """One override; completes groups, their options and the fields of a component."""

    name = "key=value"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        # bash breaks words at "=": the group is then a word of its own before it.
        typed = os.environ.get("COMP_WORDS", "").split()
        if incomplete in ("", "=") or "=" not in incomplete:
            before = typed[
                : -1 if typed and typed[-1] == incomplete and incomplete != "=" else None
            ]
            if before[-1:] == ["="]:
                stem = "" if incomplete == "=" else incomplete
                return [CompletionItem(option) for option in _options(before[-2], stem)]
        if "=" in incomplete:
            group, _, stem = incomplete.partition("=")
            return [CompletionItem(f"{group}={option}") for option in _options(group, stem)]
        return [CompletionItem(key) for key in _keys(incomplete)]


def _options(group: str, stem: str) -> list[str]:
    from ppr.config.places import groups, options

    if group not in groups():
        return []
    return [option for option in options(group) if option.startswith(stem)]


def _keys(stem: str) -> list[str]:
    from ppr.config.places import groups
    from ppr.config.settings import engine_fields

    keys = [f"{group}=" for group in groups()] + ["seed=", "data.root=", "results.root="]
    keys += [f"engine.{name}=" for name in engine_fields()]
    return [key for key in keys if key.startswith(stem)]
