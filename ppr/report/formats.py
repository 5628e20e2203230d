"""A filled table as Markdown, LaTeX, CSV, JSON or HTML; everything from data is escaped.

Not by tabulate or pandas, which write numbers: a cell here is reported and reproduced, with its
interval, its marks and as many digits as mean anything, and the notes belong to the table.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from ppr.papers.cells import Filled
from ppr.papers.tuning import as_record
from ppr.report.sheet import Sheet, commands, difference, notes, reported, reproduced
from ppr.results.spreadsheet import inert

MISSING = "–"


def header(sheet: Sheet) -> list[str]:
    """The columns of a flat table: a column's reported values and difference follow it."""
    shown = [""]
    for column in sheet.table.columns:
        shown.append(column)
        if sheet.has_reported(column):
            shown += ["reported", "difference"]
    return shown


def lines(sheet: Sheet, bold: Callable[[str], str], plain: Callable[[str], str]) -> list[list[str]]:
    """The rows of a flat table, the best of a column in `bold`, all else through `plain`."""
    rows = []
    for row, places in sheet.places.items():
        shown = [plain(row)]
        for column, filled in places.items():
            text = plain(reproduced(filled) or MISSING)
            shown.append(bold(text) if sheet.is_best(filled) else text)
            if sheet.has_reported(column):
                shown += [plain(reported(filled) or MISSING), plain(difference(filled) or MISSING)]
        rows.append(shown)
    return rows


def markdown(sheet: Sheet) -> str:
    head = [md(cell) for cell in header(sheet)]
    body = lines(sheet, lambda text: f"**{text}**", md)
    rows = [head, ["---", *("---:" for _ in head[1:])], *body]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    under = "\n".join(f"- {md(note)}" for note in notes(sheet))
    fill = "".join(f"\n- Missing, {md(place)}: `{cmd}`" for place, cmd in commands(sheet))
    return f"### {md(sheet.title)}\n\n{table}\n\n{under}{fill}\n"


def md(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", " ".join(text.split()))


_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "±": r"$\pm$", "×": r"$\times$", "–": "--", "—": "---", "…": r"\dots{}", "’": "'", "‘": "`",
    "“": "``", "”": "''", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\to$",
    "−": "$-$", "∞": r"$\infty$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$",
    "δ": r"$\delta$", "ε": r"$\epsilon$", "η": r"$\eta$", "λ": r"$\lambda$", "μ": r"$\mu$",
    "π": r"$\pi$", "σ": r"$\sigma$", "τ": r"$\tau$", "†": r"$\dagger$",
}  # fmt: skip


def tex(text: str) -> str:
    """Text for LaTeX; characters that its default fonts lack are spelt by their code point."""
    return "".join(_TEX.get(char) or _tex_char(char) for char in " ".join(text.split()))


def _tex_char(char: str) -> str:
    if char.isascii() or (char <= "ÿ" and char.isalpha() and char not in "ÐðÞþªº"):
        return char
    simple = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
    return "".join(_TEX.get(c, c) for c in simple) or f"[U+{ord(char):04X}]"


def _tex_cell(text: str) -> str:
    """A negative number's hyphen is a minus."""
    return tex(re.sub(r"^-(?=\d)", "−", text))


def latex(sheet: Sheet, fragment: bool = False) -> str:
    """A document that compiles as it is; a fragment is its `table` alone, to be taken into another.

    A fragment needs booktabs, says the number of seeds once where all cells share it, and leaves
    the notes away.
    """
    spans, rules, at = [""], [], 2
    for column in sheet.table.columns:
        width = 3 if sheet.has_reported(column) else 1
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{tex(column)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    under = [
        cell if cell in ("reported", "difference") else "reproduced" for cell in header(sheet)[1:]
    ]
    body = lines(sheet, lambda text: rf"\textbf{{{text}}}", _tex_cell)
    # After a rule or a line's end LaTeX takes [ for a length and * for a starred form.
    body = [["{}" + row if row.startswith(("[", "*")) else row, *rest] for row, *rest in body]
    tabular = [
        rf"\begin{{tabular}}{{l{'r' * (at - 2)}}}",
        r"\toprule",
        " & ".join(spans) + r" \\",
        "".join(rules),
        " & ".join(["", *under]) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in body),
        r"\bottomrule",
    ]
    if fragment:
        return _fragment(sheet, tabular)
    said = list(notes(sheet))
    said += [f"Missing, {place}: {command}" for place, command in commands(sheet)]
    return "\n".join([
        r"\documentclass{article}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{booktabs}",
        r"\usepackage{graphicx}",
        r"\begin{document}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex(sheet.title)}}}\medskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        *tabular,
        r"\end{tabular}}",
        r"",
        r"\begin{flushleft}\footnotesize\sloppy",
        *(tex(note) + r"\par" for note in said),
        r"\end{flushleft}",
        r"\end{table}",
        r"\end{document}",
        "",
    ])  # fmt: skip


def _fragment(sheet: Sheet, tabular: list[str]) -> str:
    counts = {filled.interval.n for filled in sheet.cells if filled.interval}
    over = "seeds"
    if len(counts) == 1:
        (n,) = counts
        over = f"{n} {'seed' if n == 1 else 'seeds'}"
        tabular = [line.replace(f" (n={n})", "") for line in tabular]
    caption = f"{sheet.table.title}; mean ± 95 % interval over {over}."
    return "\n".join([
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex(caption)}}}",
        rf"\label{{tab:{sheet.paper.slug}-{sheet.name}}}",
        *tabular,
        r"\end{tabular}",
        r"\end{table}",
        "",
    ])  # fmt: skip


def html_table(sheet: Sheet) -> str:
    """One `<figure>`, without a style of its own, for a page to take in."""
    key = html.escape(f"table-{sheet.paper.slug}-{sheet.name}")
    head, second = ["<td></td>"], []
    for column in sheet.table.columns:
        several = sheet.has_reported(column)
        span = ' colspan="3"' if several else ""
        head.append(f'<th scope="colgroup"{span}>{html.escape(column)}</th>')
        names = ("reproduced", "reported", "difference") if several else ("reproduced",)
        second += [f'<th scope="col">{name}</th>' for name in names]
    body = [
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        for name, *cells in lines(sheet, lambda text: f"<strong>{text}</strong>", html.escape)
    ]
    under = "".join(f"<li>{html.escape(note)}</li>" for note in notes(sheet))
    under += "".join(
        f"<li>Missing, {html.escape(place)}: <code>{html.escape(command)}</code></li>"
        for place, command in commands(sheet)
    )
    return "\n".join([
        f'<figure class="table" id="{key}">',
        f'<p class="title" id="{key}-title">{html.escape(sheet.title)}</p>',
        f'<div class="wide" tabindex="0" role="region" aria-labelledby="{key}-title">',
        f'<table aria-labelledby="{key}-title">',
        f"<thead><tr>{''.join(head)}</tr>",
        f"<tr><td></td>{''.join(second)}</tr></thead>",
        "<tbody>",
        *body,
        "</tbody></table></div>",
        f"<figcaption><ul>{under}</ul></figcaption>",
        "</figure>",
        "",
    ])  # fmt: skip


def html_page(sheet: Sheet) -> str:
    """The table as a page of its own: no network, light or dark, narrow or wide."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(sheet.title)}</title>\n<style>\n{STYLE}</style></head>\n"
        f"<body><main>\n{html_table(sheet)}</main></body></html>\n"
    )


STYLE = """\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem; }
main { max-width: 72rem; margin: auto; }
figure { margin: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.title { font-weight: 600; }
th, td { padding: .25rem .75rem; text-align: right; white-space: nowrap; }
th[scope=row] { text-align: left; font-weight: 400; }
th[scope=colgroup] { text-align: center; }
th[scope=col] { font-weight: 400; opacity: .8; }
thead tr:first-child > *, tbody tr:first-child > * { border-top: 1px solid; }
tbody tr:last-child > * { border-bottom: 1px solid; }
figcaption { font-size: .875rem; }
figcaption ul { padding-left: 1.25rem; }
code { overflow-wrap: anywhere; }
"""


def values(sheet: Sheet) -> list[dict[str, Any]]:
    """One record a cell, numbers in the table's unit."""
    return [_value(sheet, filled) for filled in sheet.cells]


def _value(sheet: Sheet, filled: Filled) -> dict[str, Any]:
    interval, value, table = filled.interval, filled.cell.reported, sheet.table
    return {
        "paper": sheet.paper.slug,
        "table": sheet.name,
        "scale": table.scale,
        "row": filled.cell.row,
        "column": filled.cell.column,
        "metric": filled.cell.metric,
        "unit": table.unit,
        "mean": interval.mean if interval else None,
        "half_width": interval.half_width if interval else None,
        "n": interval.n if interval else 0,
        "seeds": sorted(filled.samples),
        "best": sheet.is_best(filled),
        "reported": value.value if value else None,
        "reported_half_width": (value.interval or None) if value else None,
        "reported_precision": value.read_to if value else None,
        "reported_read": value.read if value else None,
        "difference": filled.difference,
        "experiment": filled.experiment,
        "variant": filled.variant,
        "tuned": filled.choice.chosen if filled.choice else None,
        "command": filled.command,
    }


def as_json(sheets: Sequence[Sheet]) -> str:
    """Every table with its cells, protocol and notes."""
    tables = [
        {
            "paper": sheet.paper.slug,
            "table": sheet.name,
            "title": sheet.table.title,
            "scale": sheet.table.scale,
            "settings": sheet.table.settings,
            "tuning": [as_record(choice) for choice in sheet.choices],
            "protocol": sheet.table.protocol,
            "reported": {
                "source": sheet.table.reported.source,
                "selection": sheet.table.reported.selection,
            }
            if sheet.table.reported
            else None,
            "notes": list(notes(sheet)),
            "cells": values(sheet),
        }
        for sheet in sheets
    ]
    return json.dumps({"tables": tables}, indent=2, ensure_ascii=False) + "\n"


def as_csv(sheets: Sequence[Sheet]) -> str:
    """One line a cell."""
    out = io.StringIO()
    records = [record for sheet in sheets for record in values(sheet)]
    writer = csv.DictWriter(out, records[0], lineterminator="\n")
    writer.writeheader()
    for record in records:
        seeds = " ".join(map(str, record["seeds"]))
        writer.writerow({key: inert(v) for key, v in (record | {"seeds": seeds}).items()})
    return out.getvalue()
