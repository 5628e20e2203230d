"""`ppr doctor`: what works here, what is amiss, and what to do about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from ppr.display.terminal import count
from ppr.doctor import machine, services
from ppr.doctor.finding import Finding, run_checks

_CHECKS = {
    "versions": machine.versions,
    "devices": machine.devices,
    "results": machine.results,
    "cache": machine.cache,
    "data": machine.data,
    "slurm": services.cluster,
    "wandb": services.wandb,
}
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> int:
    """Look at versions, devices, precision, disk, data, SLURM and W&B.

    Each line is ok, a warning or a problem, with what to do. The exit code is 1 only where ppr
    cannot run.
    """
    found = run_checks(_CHECKS)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _print(found)
    return 1 if any(finding.state == "problem" for finding in found) else 0


def _print(found: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in found)
    for finding in found:
        state = f"{finding.state:<7}"
        if sys.stdout.isatty():
            state = click.style(state, fg=_COLOURS[finding.state])
        click.echo(f"{state}  {finding.check:<{width}}  {finding.says}")
        if finding.advice:
            click.echo(f"{'':<{9 + width}}  -> {finding.advice}")
    number = {state: sum(each.state == state for each in found) for state in _COLOURS}
    shown = [count(number[state], state) for state in ("problem", "warning") if number[state]]
    click.echo(", ".join(shown) or "all is well")
