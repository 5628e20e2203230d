"""The `ppr` command: finds a subcommand's module by its name and turns errors into one line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click
from click.core import ParameterSource

import ppr
from ppr.commands import begin
from ppr.errors import BadRequest, PprError, choices
from ppr.streams import lost, steady_streams

COMMANDS = {
    "run": "Train and evaluate one experiment, or with -m a sweep of them.",
    "list": "List the components and experiments that a config can name.",
    "show": "Show one component or experiment: what it is, its fields, who uses it.",
    "new": "Write a working skeleton of a paper, experiment or component.",
    "schema": "Write JSON Schemas of experiments and papers, for editors.",
    "check": "Compose and check every shipped experiment, or those named.",
    "sweep": "What became of a sweep: status, logs, cancel, retry.",
    "track": "Replay runs to a tracker (W&B, TensorBoard) after the fact.",
    "evaluate": "Measure a finished run again: other evaluators, data or split.",
    "export": "Write a finished run's network as safetensors with a model card.",
    "results": "List, filter and export the runs of the results tree.",
    "clean": "List what a results tree keeps that no number needs, or remove it.",
    "plot": "Draw the curves of runs, here or into a file.",
    "papers": "List every paper: what is implemented, scale reached, verdicts.",
    "paper": "Show one paper: reference, tables, claims with verdicts, cost.",
    "table": "Render a paper's tables, reported beside reproduced.",
    "reproduce": "Run what a paper's tables lack, then print them and the verdicts.",
    "report": "Write the results as a static site, or the scoreboard as Markdown.",
    "verify": "Check the records behind a paper, and run some of them again.",
    "publish": "Write the records behind a paper's cells into one file to commit.",
    "compare": "Compare two runs or experiments: configs, metrics, curves.",
    "doctor": "Say what works here and what is amiss: devices, disk, data, SLURM, W&B.",
    "data": "List, fetch and check the data sets.",
    "completion": "Print the completion script for bash, zsh or fish.",
}


_TRAIN = ("run", "sweep", "reproduce")
"""Commands whose work is not what they print."""


class LazyGroup(click.Group):
    """Imports `ppr.cli.<command>` when that command is asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"ppr.cli.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise BadRequest(f"unknown command {args[0]!r}: {choices(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _add_plugins(ctx: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> None:
    from ppr.config.places import add_config_dir

    typed = ctx.get_parameter_source("plugin") == ParameterSource.COMMANDLINE
    begin(map(str, paths) if typed else ())
    for path in paths:
        ppr.add_plugin(path)
        if (path / "configs").is_dir():
            add_config_dir(path / "configs")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ppr.__version__, prog_name="ppr")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--plugin",
    multiple=True,
    type=click.Path(path_type=Path),
    envvar="PPR_PLUGINS",
    callback=_add_plugins,
    expose_value=False,
    help="A Python file with components of your own, or a folder of them and of configs/ "
    "[PPR_PLUGINS, several with : between].",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Reproduce published machine-learning results.

    \b
      ppr run                                     train SupCon on digits, in a minute
      ppr run experiment=supcon_cifar100          the published recipe
      ppr list experiment                         what can be run
    """


@cli.result_callback()
@click.pass_context
def _all_told(ctx: click.Context, /, code: int | None, **_: object) -> int:
    """The exit code; that of a command whose work is what it prints says whether it was printed."""
    error = lost()
    if error is not None:
        click.echo(f"ppr: not all was printed: {error.strerror}", err=True)
    unsaid = error is not None and ctx.invoked_subcommand not in _TRAIN
    return code if isinstance(code, int) and code else int(unsaid)


def _told(error: Exception) -> str | None:
    """What a request may do to Python itself, in a line; None for what is a fault of ours."""
    if isinstance(error, UnicodeError):
        return f"text that is not UTF-8: {error}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if "home directory" in str(error):  # of Path.expanduser
        return "a path begins with ~, and that user has no home folder here; write it in full"
    return None


def main() -> None:
    """Run the command; exit 0 when it worked, 2 for a bad request, 1 for a failed run."""
    steady_streams()
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        code = cli.main(standalone_mode=False)
    except PprError as error:
        if debug:
            raise
        click.echo("ppr: " + "\\n".join(str(error).splitlines()), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("ppr: interrupted; the same command goes on from the last checkpoint", err=True)
        sys.exit(130)
    except OSError as error:
        if debug:
            raise
        where = f" ({error.filename})" if error.filename else ""
        click.echo(f"ppr: {error.strerror or error}{where}", err=True)
        sys.exit(1)
    except (UnicodeError, RecursionError, RuntimeError) as error:
        reason = _told(error)
        if debug or reason is None:
            raise
        click.echo(f"ppr: {reason}", err=True)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)
