"""Whether the parts of a run fit one another, known from their marks before anything is read.

What each part's mark declares, all of it read from its source:

    task     `losses`: families it takes, and so needs one; `inputs`, `targets`, `needs`: what it
             must find in a data set (`targets=()`: it shows its loss none); `shows`: what it gives
             its model, where that is not the data set's inputs; `features`: for each "sample" or
             "position"; `outputs`: what its head must give; `takes`: the kinds of parts that
             count, where all others of its experiment are left away
    loss     `family`; `targets`, where it reads others than those of its family
    dataset  `inputs`, `targets`, `has`; `like`: the field that names the set it is made of;
             `finds`: the field that holds a digest of what lies where data.root says
    model    `inputs` it takes; `features`: one row for each "sample" or "position"
    head     `outputs`: one for each of the "classes", or an "embedding"
    augment, mixup   `inputs` they take

What a part does not declare is taken on trust; but a loss has a family wherever a task asks for
one, for what a loss computes from another family's arguments may well be a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppr import registry
from ppr.errors import BadRequest, choices


@dataclass(frozen=True)
class Family:
    """How a task calls the losses of a family, and the targets of a data set that they read."""

    call: str
    targets: tuple[str, ...] = ()


FAMILIES: Mapping[str, Family] = {
    "classification": Family("loss(logits, target)", ("class",)),
    "multi-label": Family("loss(logits, targets)", ("labels",)),
    "fair": Family("loss(logits, target, group)", ("class",)),
    "distillation": Family("loss(student_logits, teacher_logits, target)", ("class",)),
    "contrastive": Family("loss(embeddings, labels)"),
    "indexed": Family("loss(embeddings, labels, indices)"),
    "two-tower": Family("loss(a, b)"),
    "sequence": Family("loss(logits, targets, mask)", ("positions",)),
    "ranking": Family("loss(positive, negative, chances)", ("item",)),
    "generative": Family("loss(prediction, target, levels)"),
}
"""The families of this package; a plug-in may have one of its own, with a task that takes it."""

WORDS = {
    "image": "images",
    "vector": "vectors",
    "tokens": "tokens",
    "node": "nodes of a graph",
    "graph": "a graph",
    "user": "users",
    "class": "one class a sample",
    "labels": "several labels a sample",
    "positions": "a class at each position",
    "item": "the item chosen",
    "groups": "the group of each sample",
    "stream": "a stream of tasks",
    "tables": "published tables",
    "weights": "published weights",
    "rows": "rows of a table",
    "sample": "each sample",
    "position": "each position",
    "classes": "an output for each class",
    "embedding": "an embedding",
}
"""What is declared, as an error says it."""

Declared = Mapping[str, tuple[str, ...]]


def check_fit(values: Mapping[str, Any]) -> None:
    """Refuse a task, loss, data set, model or head that does not fit the others.

    `values` is a config whose components have been checked one by one.

    Raises:
        BadRequest: names the two that do not fit, what each is, and which ones would.
    """
    task = f"task {_name(values, 'task')!r}"
    asks = declared("task", values["task"])
    data = declared("dataset", values["dataset"])
    if "losses" in asks:
        _family(task, asks, data, values)
    for key, found in (("inputs", "inputs"), ("targets", "targets"), ("needs", "has")):
        wanted, given = asks.get(key), data.get(found, ())
        # What a data set has beside its samples must be said; the rest may be taken on trust.
        if wanted and (given or found == "has") and values["dataset"]:
            _refuse_unless(
                set(wanted) & set(given),
                f"dataset {_name(values, 'dataset')!r} gives {_said(given)}; "
                f"{task} needs {_said(wanted)}"
                if given
                else f"{task} needs {_said(wanted)}, which dataset "
                f"{_name(values, 'dataset')!r} lacks",
                fitting("dataset", **{found: wanted}),
            )
    if "losses" in asks:
        _targets(task, asks, data, values)
    inputs = data.get("inputs", ())
    shown = asks.get("shows", inputs)
    for kind, given in (("model", shown), ("augment", inputs), ("mixup", inputs)):
        takes = declared(kind, values[kind]).get("inputs")
        if takes and given:
            _refuse_unless(
                set(takes) & set(given),
                f"{kind} {_name(values, kind)!r} takes {_said(takes)}, not {_said(given)}, "
                f"which is what {task} gives it",
                fitting(kind, inputs=given, features=asks.get("features")),
            )
    for kind, key in (("model", "features"), ("head", "outputs")):
        wanted, gives = asks.get(key), declared(kind, values[kind]).get(key)
        if wanted and gives:
            what = "has features of" if kind == "model" else "gives"
            _refuse_unless(
                set(wanted) & set(gives),
                f"{kind} {_name(values, kind)!r} {what} {_said(gives)}; {task} needs "
                f"{_said(wanted)}",
                fitting(kind, **{key: wanted}, inputs=shown if kind == "model" else None),
            )


def _family(task: str, asks: Declared, data: Declared, values: Mapping[str, Any]) -> None:
    """Refuse a loss that the task does not know how to call."""
    takes = asks["losses"]
    calls = " or ".join(f"{name}, {FAMILIES[name].call}" for name in takes if name in FAMILIES)
    calls = calls or _said(takes)
    if not values["loss"]:
        raise BadRequest(f"loss: {task} needs one; choose it with loss=…")
    own = declared("loss", values["loss"])
    name = _name(values, "loss")
    if "family" not in own:
        raise BadRequest(
            f"loss {name!r} declares no family, and {task} takes {calls}: "
            f'write @component("loss", family="{takes[0]}") in {registry.find("loss", name)}'
        )
    (family,) = own["family"]
    call = f", {FAMILIES[family].call}" if family in FAMILIES else ""
    _refuse_unless(
        family in takes,
        f"loss {name!r} is of the family {family}{call}; {task} takes {calls}",
        _losses(asks, data),
    )


def _targets(task: str, asks: Declared, data: Declared, values: Mapping[str, Any]) -> None:
    """Refuse a loss that reads other targets than those that the task shows it."""
    read = targets_of(declared("loss", values["loss"]))
    what = f"loss {_name(values, 'loss')!r} reads {_said(read)}"
    if asks.get("targets") == ():
        _refuse_unless(not read, f"{what}; {task} shows its loss no targets", _losses(asks, data))
    elif read and "targets" in data:
        _refuse_unless(
            set(read) & set(data["targets"]),
            f"{what}; dataset {_name(values, 'dataset')!r} gives {_said(data['targets'])}",
            _losses(asks, data),
        )


def _losses(asks: Declared, data: Declared) -> list[str]:
    """Those that a task could have with these data."""
    shown = set() if asks.get("targets") == () else set(data.get("targets", ()))
    return [
        name
        for name in fitting("loss", family=asks["losses"])
        if not (read := targets_of(registry.describe("loss", name).declared))
        or not data
        or set(read) & shown
    ]


def targets_of(loss: Declared) -> tuple[str, ...]:
    """The targets that a loss reads, by its mark."""
    family = FAMILIES.get(loss["family"][0])
    return loss.get("targets", family.targets if family else ())


def declared(kind: str, node: Mapping[str, Any] | None) -> Declared:
    """What the mark of a config's component declares, with that of the set it is made of."""
    if not node:
        return {}
    own = registry.describe(kind, node["name"]).declared
    if "like" not in own:
        return own
    of = node.get(own["like"][0])
    # A wrong name of the set is refused where it is looked for.
    whole = declared(kind, {"name": of}) if of in registry.names(kind) else {}
    has = (*whole.get("has", ()), *own.get("has", ()))
    return {**whole, **own, **({"has": has} if has else {})}


def fitting(kind: str, **wanted: tuple[str, ...] | None) -> list[str]:
    """The components of a kind that declare, of each key that is asked for, one of its words."""
    return [
        name
        for name in registry.names(kind)
        if all(
            set(words) & set(registry.describe(kind, name).declared.get(key, ()))
            for key, words in wanted.items()
            if words
        )
    ]


def _name(values: Mapping[str, Any], kind: str) -> str:
    return str(values[kind]["name"])


def _said(words: tuple[str, ...]) -> str:
    return " or ".join(WORDS.get(word, word) for word in words)


def _refuse_unless(fits: object, what: str, allowed: list[str]) -> None:
    if not fits:
        raise BadRequest(f"{what}; {choices('', allowed)}")
