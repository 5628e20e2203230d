"""`ppr completion`: the script that makes a shell complete ppr's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_NO_SPACE = '    [[ "${COMPREPLY[0]}" == *[=.] ]] && compopt -o nospace\n'


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
    script = found(cli, {}, "ppr", "_PPR_COMPLETE").source()
    # bash would set a space behind a key, too.
    script = script.replace("    return 0\n", f"{_NO_SPACE}    return 0\n", 1)
    click.echo(script)
