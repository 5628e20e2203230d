"""Requests with a slip in them, from a seed: words, YAML files and plug-ins."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

KEYS = ["loss", "loss.temperature", "model", "experiment", "seed", "engine.epochs", "evaluator",
        "evaluator.knn.k", "data.root", "tracker", "inputs.start", "dataset", "dataset.noise",
        "optimizer.lr", "engine.monitor", "scale", "launcher", "nope", "task", "a.b.c", "hydra.x",
        "loss@x", "+x", "++loss.y", "~loss", "~x", ""]  # fmt: skip
VALUES = ["supcon", "ntxent", "0.1", "-1", "nan", "inf", "1e400", "null", "true", "[", "[1,2]", "{",
          "{a:1}", "{a:{b:[c]}}", "${nope}", "${loss.temperature}", "${oc.env:HOME}", "${now:%Y}",
          "glob(*)", "range(0,3,0)", "range(1,0)", "interval(0,1)", "tag(x,1)", "a,b", "'x", '"',
          "\\", "~/x", "#", "中文", "\x00", "\x1b[2J", "\n", " ", "", "x" * 5000, "9" * 40, "010",
          "mnist", "digits", "knn", "[knn,nope]", "experiment=nope", "experiment=\"x", "!!int x",
          "../../x", "/", "%", "&a *a", "paper", "smoke", "- a", "a: b"]  # fmt: skip
LISTED = ["papers", "list", "list experiment", "show loss/mine", "show mine", "paper mine",
          "table mine", "check --compose-only mine", "show loss/{word}", "list {word}",
          "paper {word}", "table {word}", "check {word}", "new loss {word} --into {folder}/new",
          "results {word}", "compare {word} {word}", "plot {word}", "{word}"]  # fmt: skip
GOOD = {
    "experiment": "defaults: [supcon_digits, _self_]\nloss: {temperature: 0.2}\nseed: 3\n",
    "loss": "# Mine.\nname: supcon\ntemperature: 0.2\n",
    "paper": "title: Mine\nyear: 2020\nfamily: mine\nurl: https://a.org\ntables:\n  t:\n"
    "    title: T\n    scale: desk\n    metric: knn/top1\n    rows: {A: supcon}\n"
    "    columns: {B: digits}\n    cell: experiment=${row}_${column}\n    seeds: 2\n"
    "    reported: {source: s, A: {B: 1.5}}\nclaims:\n  c: {says: s, kind: finding, "
    "test: greater, cells: [t.A, t.A]}\n",
}  # fmt: skip
PLUGIN = (
    '"""Mine."""\nfrom ppr.fields import *\nfrom ppr.registry import component\n\n'
    '@component("loss")\nclass Mine:\n    def __init__(self, *, a: Positive = 1.0) -> None: ...\n'
)
PIECES = ["\t", "\x00", "[", "]", "{", "}", ":", "- ", "'", '"', "&a ", "*a", "!!python/x ",
          "---\n", "? ", "# ", "${", "\n", "1e400", "null", "defaults: 3\n", "a: 1\na: 1\n",
          "ä", "@", "%",
          "eval('1')", "1/0", "(", ")", "import x\n", "[" * 2000]  # fmt: skip


def damaged(text: str, draw: random.Random) -> bytes:
    """The text with one to three slips."""
    content = text.encode()
    for _ in range(draw.randint(1, 3)):
        at = draw.randint(0, len(content))
        match draw.randrange(6):
            case 0:
                content = content[:at]
            case 1:
                content = content[:at] + content[at + draw.randint(1, 9) :]
            case 2:
                content = content[:at] + bytes([draw.randrange(256)]) + content[at:]
            case 3:
                content = content[:at] + content[:at]
            case 4:
                content = content.decode("latin-1").encode(draw.choice(["utf-16", "utf-8-sig"]))
            case _:
                content = content[:at] + draw.choice(PIECES).encode() + content[at:]
    return content


def requests(count: int, folder: Path, seed: int) -> Iterator[list[str]]:
    """Arguments of `ppr`; the files that some of them need are written just before."""
    draw = random.Random(seed)
    configs = folder / "configs"
    for group in GOOD:
        (configs / group).mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        for group in GOOD:
            (configs / group / "mine.yaml").unlink(missing_ok=True)
        kind = draw.randrange(4)
        if kind == 0:
            words = [
                f"{draw.choice(KEYS)}={draw.choice(VALUES)}" for _ in range(draw.randint(1, 3))
            ]
            yield ["run", *draw.choice([[], ["-m"]]), "--cfg", *words]
        elif kind == 1:
            group = draw.choice([*GOOD])
            (configs / group / "mine.yaml").write_bytes(damaged(GOOD[group], draw))
            commands = {
                "experiment": ["run --cfg experiment=mine", "check --compose-only mine",
                               "list experiment", "show experiment/mine"],
                "loss": ["run --cfg loss=mine", "list loss", "show loss/mine"],
                "paper": ["papers", "paper mine", "table mine", "reproduce --dry-run mine"],
            }[group]  # fmt: skip
            yield [*_with_configs(draw.choice(commands), configs)]
        elif kind == 2:
            (folder / "mine.py").write_bytes(damaged(PLUGIN, draw))
            command = draw.choice(["list loss", "show loss/mine", "run --cfg loss=mine"])
            yield ["--plugin", str(folder / "mine.py"), *command.split()]
        else:
            word = draw.choice(VALUES)
            line = draw.choice(LISTED).split()
            yield [part.replace("{word}", word).replace("{folder}", str(folder)) for part in line]


def _with_configs(command: str, configs: Path) -> list[str]:
    name, *rest = command.split()
    if name in ("list", "show"):  # these take a folder of one's own from --plugin alone
        return [name, *rest]
    return [name, "--config-dir", str(configs), *rest]
