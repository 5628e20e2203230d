"""`ppr completion`: the script that makes a shell complete ppr's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell.

    \b
      eval "$(ppr completion bash)"              in ~/.bashrc
      eval "$(ppr completion zsh)"               in ~/.zshrc
      ppr completion fish > ~/.config/fish/completions/ppr.fish
    """
    from ppr.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "ppr", "_PPR_COMPLETE").source())
