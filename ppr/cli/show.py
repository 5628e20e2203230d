"""`ppr show`: one component or experiment, from its own source."""

from __future__ import annotations

import json
from typing import Any

import click

from ppr import registry
from ppr.cli.words import COMPONENT
from ppr.commands import command_line
from ppr.config import places, usage
from ppr.config.fit import FAMILIES, fitting
from ppr.errors import BadRequest, choices
from ppr.papers.cache import papers_using
from ppr.registry import Spec


@click.command()
@click.argument("what", type=COMPONENT)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str, as_json: bool) -> None:
    """Show a component (loss/supcon) or an experiment (experiment/supcon_digits)."""
    kind, slash, name = what.partition("/")
    if not slash:
        kind, name = _kind_of(what), what
    if kind == "experiment":
        _show_experiment(name, as_json)
        return
    registry.check_kind(kind)
    option = usage.component_of(kind, name)
    spec = registry.describe(kind, option)
    experiments = usage.experiments_using(kind, spec.name)
    facts: dict[str, Any] = {
        "file": str(spec.path),
        "options": {o: str(p) for o, p in usage.options_of(kind, spec.name).items()},
        "experiments": experiments,
        "papers": papers_using(
            experiments, [f"{kind}/{o}" for o in {*usage.options_of(kind, spec.name), spec.name}]
        ),
    }
    if as_json:
        fields = {f.name: {"type": f.annotation, "default": None if f.required else f.default,
                           "required": f.required} for f in spec.fields.values()}  # fmt: skip
        described = {"kind": kind, "name": spec.name, "doc": spec.doc, "fields": fields,
                     "declared": spec.declared, **facts}  # fmt: skip
        click.echo(json.dumps(described, indent=2))
        return
    _print_component(spec, facts)


def _kind_of(name: str) -> str:
    """The one kind that has a component or experiment of this name."""
    found = [kind for kind in registry.KINDS if name in registry.names(kind)]
    if name in places.config_files("experiment"):
        found.append("experiment")
    if len(found) == 1:
        return found[0]
    if found:
        raise BadRequest(f"{name!r} is several: {', '.join(f'{kind}/{name}' for kind in found)}")
    every = [f"{kind}/{n}" for kind in registry.KINDS for n in registry.names(kind)]
    raise BadRequest(f"nothing is called {name!r}: {choices(name, every)}")


def _print_component(spec: Spec, facts: dict[str, Any]) -> None:
    click.secho(f"{spec.kind}/{spec.name}", bold=True)
    click.echo(f"\n{spec.doc}\n")
    click.secho("fields", bold=True)
    for field in spec.fields.values():
        default = "required" if field.required else f"= {field.default!r}"
        click.echo(f"  {spec.kind}.{field.name}: {field.annotation} {default}")
    if not spec.fields:
        click.echo("  none")
    if spec.declared:
        click.secho("fits", bold=True)
        for key, words in spec.declared.items():
            call = (
                f", {FAMILIES[words[0]].call}" if key == "family" and words[0] in FAMILIES else ""
            )
            click.echo(f"  {key}: {' or '.join(words) or 'none'}{call}")
        if spec.kind == "loss":
            click.echo(f"  tasks: {', '.join(fitting('task', losses=spec.declared['family']))}")
    for title in ("options", "experiments", "papers"):
        if facts[title]:
            click.secho(title, bold=True)
            click.echo("  " + ", ".join(facts[title]))
    click.secho("file", bold=True)
    click.echo(f"  {facts['file']}")


def _show_experiment(name: str, as_json: bool) -> None:
    files = places.config_files("experiment")
    if name not in files:
        raise BadRequest(f"no experiment {name!r}; {choices(name, files)}")
    chosen = usage.choices_by_experiment()[name]
    papers = papers_using([name])
    if as_json:
        shown = {"name": name, "file": str(files[name]), "choices": chosen, "papers": papers}
        click.echo(json.dumps(shown, indent=2))
        return
    click.secho(f"experiment/{name}", bold=True)
    click.echo(f"{usage.headline(files[name])}\n")
    for group, options in chosen.items():
        click.echo(f"  {group:<10} {', '.join(options)}")
    if papers:
        click.echo(f"  {'papers':<10} {', '.join(papers)}")
    click.echo(f"  {'file':<10} {files[name]}")
    run = command_line("run", f"experiment={name}")
    click.echo(f"\n{run} --cfg    prints the whole config")
    click.echo(f"{run}          runs it")
