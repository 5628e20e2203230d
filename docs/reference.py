"""The reference pages of the site, made of the registry, the schemas and the commands themselves.

A hook of MkDocs: nothing that it writes is kept in the repository, so nothing can lag behind.
"""

from __future__ import annotations

import html
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

from ppr import registry
from ppr.cli.main import COMMANDS
from ppr.config.settings import MACHINE_FIELDS, EngineSettings, engine_fields
from ppr.papers.claim_schema import Equal
from ppr.papers.json_schema import paper_schema

HOME = Path(registry.__file__).parent
PAGES: Mapping[str, tuple[str, Sequence[str]]] = {
    "task": ("Tasks", ["task"]),
    "study": ("Studies", ["task"]),
    "loss": ("Losses", ["loss"]),
    "model": ("Models and heads", ["model", "head"]),
    "dataset": ("Data sets", ["dataset"]),
    "augment": ("Augmentation, samplers, mixup", ["augment", "sampler", "mixup"]),
    "optimizer": ("Optimizers and schedules", ["optimizer", "schedule"]),
    "evaluator": ("Evaluators", ["evaluator"]),
    "launcher": ("Launchers, sweepers, trackers", ["launcher", "sweeper", "tracker"]),
}
CLAIMS = ("Difference", "Equal", "Matches", "Monotone", "Exact", "Ratio")
"""The tests of a claim, by the model that each has in the paper's schema."""


def on_files(files: Files, config: Any) -> Files:
    made = {name: components(*about) for name, about in PAGES.items() if name != "task"}
    made["task"] = components("Tasks", ["task"], studies=False)
    made["study"] = components("Studies", ["task"], studies=True)
    made |= {"engine": engine(), "commands": commands(), "claims": claims(), "paper": paper()}
    for name, text in made.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


# Prose


def prose(text: str) -> str:
    """A docstring as HTML: paragraphs flow, what is indented or a table stays as it is written."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.split("\n")
        if any(line.startswith((" ", "- ", "|")) for line in lines):
            parts.append(f"<pre>{html.escape(block)}</pre>")
        else:
            parts.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(parts)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of HTML, which scrolls in its own box on a narrow screen; cells are escaped here."""
    cells = [f"<th>{_inline(name)}</th>" for name in head]
    body = ["<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    if not body:
        return ""
    return f"<table>\n<tr>{''.join(cells)}</tr>\n" + "\n".join(body) + "\n</table>"


def _shown(default: object) -> str:
    if default is registry.REQUIRED:
        return "required"
    return (
        "null"
        if default is None
        else str(default).lower()
        if default in (True, False)
        else str(default)
    )


# Components


def components(title: str, kinds: Sequence[str], studies: bool | None = None) -> str:
    """One page: each component's family, fields and docstring."""
    lines = [f"# {title}", ""]
    for kind in kinds:
        named = registry.names(kind)
        if studies is not None:
            named = {
                name: path for name, path in named.items() if ("studies" in path.parts) == studies
            }
        if len(kinds) > 1:
            lines += [f"## {kind.capitalize()}", ""]
        lines += [f"`{kind}=NAME` chooses one of {len(named)}.", ""]
        for family, names in sorted(_families(named).items()):
            if family:
                lines += [f"## {family}" if len(kinds) == 1 else f"### {family}", ""]
            for name in names:
                lines += _component(kind, name)
    return "\n".join(lines)


def _families(named: Mapping[str, Path]) -> dict[str, list[str]]:
    """Names by the sub-folder that they lie in, "" where the kind has none."""
    found: dict[str, list[str]] = {}
    for name, path in sorted(named.items()):
        parts = path.relative_to(HOME).parts if path.is_relative_to(HOME) else ()
        found.setdefault(parts[1].replace("_", " ") if len(parts) > 2 else "", []).append(name)
    return found


def _component(kind: str, name: str) -> list[str]:
    spec = registry.describe(kind, name)
    rows = [
        (
            each.name,
            each.annotation.replace("'", '"'),
            _shown(each.default),
            "yes" if each.science else "no",
        )
        for each in spec.fields.values()
    ]
    declared = "; ".join(f"{key}: {', '.join(words)}" for key, words in spec.declared.items())
    source = spec.path.relative_to(HOME.parent) if spec.path.is_relative_to(HOME) else spec.path
    heading = f'### {name} {{ #{kind}-{name} data-toc-label="{name}" }}'
    head = ["field", "type", "default", "in the run id"]
    said = f"<code>{source}</code>" + (f" · {html.escape(declared)}" if declared else "")
    return [heading, "", said, "", table(head, rows), "", prose(spec.doc), ""]


def engine() -> str:
    about = _arguments(EngineSettings.__doc__ or "")
    rows = [
        (
            name,
            field.annotation.replace("'", '"'),
            _shown(field.default),
            "no" if name in MACHINE_FIELDS else "yes",
            about[name],
        )
        for name, field in engine_fields().items()
    ]
    head = ["engine.…", "type", "default", "in the run id", "what it does"]
    return f"# Run settings\n\nHow a run trains, and where.\n\n{table(head, rows)}\n"


def _arguments(doc: str) -> dict[str, str]:
    """The `name: what it is` lines of a docstring, with the lines that go on."""
    found: dict[str, str] = {}
    name = ""
    for line in doc.splitlines():
        if match := re.match(r" {4,8}(\w+): (.*)", line):
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith(" " * 12):
            found[name] += " " + line.strip()
    return found


# Commands


def commands() -> str:
    lines = ["# Commands", "", "`ppr COMMAND --help` says the same at a terminal.", ""]
    for name in COMMANDS:
        command: click.Command = importlib.import_module(f"ppr.cli.{name}").command
        lines += _command(f"ppr {name}", command, 2)
    return "\n".join(lines)


def _command(name: str, command: click.Command, level: int) -> list[str]:
    context = click.Context(command, info_name=name)
    with context:
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        records = [each.get_help_record(context) for each in command.get_params(context)]
    said = prose((command.help or "").replace("\b\n", ""))
    rows = [(first, second) for first, second in filter(None, records)]
    lines = [f"{'#' * level} {name}", "", f"<pre>{html.escape(usage)}</pre>", "", said, ""]
    lines += [table(["option", ""], rows), ""]
    for below, each in sorted(getattr(command, "commands", {}).items()):
        lines += _command(f"{name} {below}", each, level + 1)
    return lines


# Papers


def claims() -> str:
    """Each test of a claim with its keys; those that all have, once."""
    parts = paper_schema()["$defs"]
    shared = set.intersection(*(set(parts[name]["properties"]) for name in CLAIMS)) - {"test"}
    equal = parts["Equal"]
    common = {key: said for key, said in equal["properties"].items() if key in shared}
    lines = ["# The claims' tests", "", "Every claim has", "", _keys(common, equal["required"]), ""]
    lines += [prose(inspect.getdoc(Equal.__base__) or ""), ""]
    for name in CLAIMS:
        model = parts[name]
        tests = model["properties"]["test"]
        words = tests.get("enum", [tests.get("const")])
        own = {k: said for k, said in model["properties"].items() if k not in shared | {"test"}}
        lines += [f"## {', '.join(words)}", "", prose(model.get("description", "")), ""]
        lines += [_keys(own, model.get("required", ())), ""]
    return "\n".join(lines)


def paper() -> str:
    """Every key of a paper's file, the whole and its parts."""
    schema = paper_schema()
    lines = ["# A paper's file", "", prose(schema.get("description", "")), ""]
    lines += [_keys(schema["properties"], schema.get("required", ())), ""]
    for name, model in sorted(schema["$defs"].items()):
        if name in CLAIMS or "properties" not in _object(model):
            continue
        own = _object(model)
        lines += [f"## {name}", "", prose(own.get("description", "")), ""]
        lines += [_keys(own["properties"], own.get("required", ())), ""]
    return "\n".join(lines)


def _object(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping among a part's forms, where it has several."""
    return next((each for each in model.get("anyOf", ()) if "properties" in each), model)


def _keys(properties: Mapping[str, Any], required: Sequence[str] = ()) -> str:
    rows = []
    for key, said in properties.items():
        default = "required" if key in required else _shown(said.get("default", ""))
        rows.append(
            (key, _type(said), default if len(default) < 30 else "…", said.get("description", ""))
        )
    head = ["key", "type", "default", ""]
    if not any(row[3] for row in rows):
        return table(head[:3], [row[:3] for row in rows])
    return table(head, rows)


def _type(said: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a few words."""
    if "$ref" in said:
        return str(said["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in said:
        return " or ".join(dict.fromkeys(map(_type, said["anyOf"])))
    if "enum" in said or "const" in said:
        return ", ".join(map(str, said.get("enum", [said.get("const")])))
    kind, values = said.get("type", "anything"), said.get("additionalProperties")
    if kind == "array":
        kind = f"list of {_type(said.get('items', {}))}"
    elif kind == "object" and isinstance(values, dict):
        kind = f"name: {_type(values)}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
