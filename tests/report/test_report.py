"""The site of `ppr report`: its pages as a browser's parser sees them, its numbers, its charts."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import statistics
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from report_toy import (
    EXPERIMENT,
    HOSTILE,
    METRIC,
    REPORTED,
    VALUES,
    colours,
    papers,
    resolve,
    run,
    runs,
    site,
    variant,
)

import ppr.cli.report
from ppr.errors import BadRequest
from ppr.papers.board import Standing
from ppr.papers.files import Reference, find_all, folders, reference
from ppr.report import scoreboard
from ppr.report.site import write_site
from ppr.report.site_paper import is_web
from ppr.results.tree import Scan, scan

VOID = {"meta", "link", "br", "img", "input", "hr", "path", "line", "circle"}


@dataclass
class Tag:
    name: str
    attributes: dict[str, str | None]
    path: list[str]
    text: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


class Page(HTMLParser):
    """A page's tags with their text; a tag closed out of turn is an error."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.tags: list[Tag] = []
        self._open: list[Tag] = []
        self.feed(file.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = Tag(tag, dict(attrs), [t.name for t in self._open])
        assert len(found.attributes) == len(attrs), "an attribute twice"
        self.tags.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, dict(attrs), [t.name for t in self._open]))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            tag.text.append(data)

    def all(self, *names: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name in names]

    def texts(self, name: str) -> list[str]:
        return [tag.words for tag in self.all(name)]

    @property
    def words(self) -> str:
        return self.all("body")[0].words


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every shipped paper, before any experiment is there."""

    def none_yet(overrides: object) -> tuple[str, str]:
        raise BadRequest(f"{overrides}: no such experiment")

    out = tmp_path_factory.mktemp("catalogue") / "site"
    write_site(out, out / "results", folders(), none_yet, Scan([], []))
    return out


PAGES = ["index.html", "reported.html", "runs.html", "paper/hostile.html", "paper/planned.html"]
SHIPPED = ["index.html", "paper/supcon.html", "paper/focal.html", "paper/cads.html"]


@pytest.fixture(params=[*PAGES, *(f"shipped {name}" for name in SHIPPED)])
def page(request: pytest.FixtureRequest, toy: Path, catalogue: Path) -> Page:
    shipped, _, name = request.param.rpartition(" ")
    return Page((catalogue if shipped else toy) / name)


# --- every page -----------------------------------------------------------------------------------


def test_a_page_has_landmarks_a_title_and_a_skip_link(page: Page) -> None:
    assert page.all("html")[0].attributes["lang"] == "en"
    for name in ("header", "main", "footer", "h1", "title"):
        assert len(page.all(name)) == 1, name
    assert page.all("title")[0].words
    navigations = [tag.attributes.get("aria-label") for tag in page.all("nav")]
    assert all(navigations)
    assert len(set(navigations)) == len(navigations)
    first = page.all("a")[0]
    assert first.attributes["href"] == "#main"
    assert page.all("main")[0].attributes["id"] == "main"
    assert page.all("meta")[1].attributes["content"] == "width=device-width, initial-scale=1"


def test_headings_go_down_one_level_at_a_time(page: Page) -> None:
    levels = [int(tag.name[1]) for tag in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_controls_and_drawings_have_names(page: Page) -> None:
    ids = {tag.attributes["id"] for tag in page.tags if "id" in tag.attributes}
    for at, table in enumerate(page.tags):
        if table.name == "table":
            captioned = page.tags[at + 1].name == "caption" and page.tags[at + 1].words
            assert captioned or table.attributes.get("aria-labelledby") in ids
    for head in page.all("th"):
        assert head.attributes.get("scope") in {"row", "col", "colgroup"}
    for control in page.all("input", "select"):
        assert "label" in control.path
    for drawing in page.all("svg"):
        hidden = drawing.attributes.get("aria-hidden") == "true"
        assert hidden or drawing.attributes.get("aria-label") or "svg" in drawing.path
    for region in page.tags:
        if region.attributes.get("role") == "region":  # else a keyboard cannot scroll it
            assert region.attributes["tabindex"] == "0"
            name = region.attributes.get("aria-label") or region.attributes["aria-labelledby"]
            assert name


def test_ids_are_unique_and_lead_somewhere(page: Page) -> None:
    ids = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]
    assert len(set(ids)) == len(ids)
    assert not any(re.search(r"\s", name or " ") for name in ids)
    for tag in page.tags:
        for key in ("aria-labelledby", "aria-controls"):
            assert tag.attributes.get(key) is None or tag.attributes[key] in ids
        target = tag.attributes.get("href") or ""
        if target.startswith("#"):
            assert target[1:] in ids


def test_nothing_is_asked_of_the_network(page: Page) -> None:
    for tag in page.tags:
        assert tag.name not in {"img", "link", "iframe", "object", "embed", "base", "use", "image"}
        assert not {"src", "srcset", "style", "action"} & tag.attributes.keys()
        assert not any(name.startswith("on") for name in tag.attributes)
    style = page.all("style")[0].text[0]
    assert "url(" not in style
    assert "@import" not in style
    [policy] = [
        tag.attributes["content"]
        for tag in page.all("meta")
        if tag.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for tag in page.all("style", "script"):
        digest = base64.b64encode(hashlib.sha256("".join(tag.text).encode()).digest()).decode()
        assert f"{tag.name}-src 'sha256-{digest}'" in policy


def test_links_between_files_lead_to_files(toy: Path, catalogue: Path) -> None:
    for folder in (toy, catalogue):
        for file in [*folder.glob("*.html"), *sorted(folder.glob("paper/*.html"))[:40]]:
            for tag in Page(file).all("a"):
                target = tag.attributes["href"]
                assert target
                if not target.startswith(("#", "https:", "http:")):
                    assert (file.parent / unquote(target.partition("#")[0])).exists(), target


def test_every_paper_has_a_page_and_a_row(catalogue: Path) -> None:
    slugs = set(find_all(folders()))
    assert {file.stem for file in (catalogue / "paper").iterdir()} == slugs
    index = Page(catalogue / "index.html")
    rows = [tag for tag in index.all("tr") if "data-family" in tag.attributes]
    assert len(rows) == len(slugs)
    linked = {tag.attributes["href"] for tag in index.all("a")}
    assert {f"paper/{slug}.html" for slug in slugs} <= linked
    assert f"{len(slugs)} papers" in index.words
    standings = [str(row.attributes["data-standing"]).split("|")[0] for row in rows]
    assert standings == sorted(standings, key=("with tables", "planned").index)


# --- hostile text ---------------------------------------------------------------------------------


def test_hostile_text_is_shown_as_it_stands(toy: Path) -> None:
    shown = " ".join(HOSTILE.split())
    for name in PAGES[:3]:
        page = Page(toy / name)
        assert len(page.all("script")) == (name == "index.html")
        assert not page.all("img", "b", "i")
    page = Page(toy / "paper/hostile.html")
    assert page.texts("h1") == [shown]
    assert page.texts("caption")[0] == f"{shown}, in %"
    assert any(shown in tag.words for tag in page.all("th"))
    assert page.words.count(shown) > 10
    assert f"{EXPERIMENT}/{variant('high')}" in page.words
    assert f"{METRIC}/top1 against" not in page.words  # no chart that nobody asked for
    assert Page(toy / "index.html").words.count(shown) == 2  # the title, and a cell


def test_only_web_addresses_become_links(toy: Path) -> None:
    page = Page(toy / "paper/hostile.html")
    targets = [str(tag.attributes["href"]) for tag in page.all("a")]
    assert not any("javascript" in target for target in targets)
    assert "paper: javascript:alert(1)" in page.words
    assert "https://example.org/?a=1&b=\"'>" in targets
    assert is_web("HTTPS://example.org")
    assert not any(map(is_web, (None, "", " https://x", "data:text/html,x", "//x", "file:///x")))


# --- the numbers ----------------------------------------------------------------------------------


def row_of(page: Page, name: str) -> list[str]:
    """The cells of a table's row."""
    at = next(i for i, tag in enumerate(page.tags) if tag.name == "th" and tag.words == name)
    cells = []
    for tag in page.tags[at + 1 :]:
        if tag.name in {"tr", "table"}:
            break
        if tag.name == "td":
            cells.append(tag.words)
    return cells


def test_cells_show_mean_interval_reported_and_difference(toy: Path) -> None:
    """t(0.975, 2) = 4.3027, from any table of Student's t."""
    values = [100 * value for value in VALUES["high"]]
    mean = statistics.fmean(values)
    half = 4.3027 * statistics.stdev(values) / math.sqrt(3)
    cells = row_of(Page(toy / "paper/hostile.html"), "High")
    assert cells[0] == f"{mean:.1f} ± {half:.1f} (n=3) best"
    assert cells[1:3] == [f"{REPORTED:.1f}", f"{mean - REPORTED:+.1f}"]


def test_what_has_not_been_run_says_so_with_its_command(toy: Path) -> None:
    page = Page(toy / "paper/hostile.html")
    assert row_of(page, "Empty") == ["not run", "–", "–", "not run"]
    assert row_of(page, "Unknown") == ["not run", "–", "–", "not run"]
    missing = [text for text in page.texts("li") if text.startswith("Not run")]
    assert any(text.endswith("ppr run -m experiment=toy row=empty seed=0,1,2") for text in missing)
    assert any("experiment=unknown: no such experiment" in text for text in missing)
    assert not any("row=unknown" in text for text in page.texts("code"))
    assert "ppr run -m experiment=toy row=high seed=0,1,2" in page.texts("code")
    assert "Not run: no table yet" in Page(toy / "paper/planned.html").words


def test_a_run_of_nan_is_named_and_never_averaged(toy: Path) -> None:
    page = Page(toy / "paper/hostile.html")
    warnings = [text for text in page.texts("li") if text.startswith("Warning")]
    assert len(warnings) == 1
    assert "seed=7" in warnings[0]
    assert "is nan: left out" in warnings[0]
    assert any(
        "seed=7" in text and "is nan" in text for text in Page(toy / "runs.html").texts("li")
    )
    assert "1 left out, and why" in Page(toy / "index.html").words


def test_claims_show_their_verdict_and_why(toy: Path) -> None:
    claims = [text for text in Page(toy / "paper/hostile.html").texts("li") if "claim " in text]
    assert len(claims) == 3
    assert claims[0].startswith("reproduced untuned Higher ")
    assert "desk scale" in claims[0]
    assert "81.0 ± 2.5 (n=3)" in claims[0]
    assert claims[1].startswith("not run untuned Higher ")


def test_an_identity_is_no_finding_of_its_page(toy: Path) -> None:
    """It stands below a heading of its own, has no finding's badge, and is in no total of them."""
    page, index = Page(toy / "paper/hostile.html"), Page(toy / "index.html")
    claims = [text for text in page.texts("li") if "claim " in text]
    assert claims[2].startswith("check passed Higher ")
    assert "Checks of the code" in page.texts("h3")
    assert row_of(index, "reproduced") == ["1 (1 untuned)", "0"]
    assert row_of(index, "not run") == ["1 (1 untuned)", "0"]
    assert row_of(index, "checks of the code passed") == ["1 of 1", "0 of 0"]


def test_runs_lead_to_their_folders_and_digests(toy: Path) -> None:
    page = Page(toy / "paper/hostile.html")
    folder = (toy.parent / "results" / EXPERIMENT / variant("high")).resolve()
    linked = {
        (toy / "paper" / unquote(str(tag.attributes["href"]))).resolve()
        for tag in page.all("a")
        if "results" in str(tag.attributes["href"])
    }
    assert {folder / f"seed={seed}" for seed in range(3)} <= linked
    digests = [
        json.loads((folder / f"seed={n}/summary.json").read_text())["digest"] for n in range(3)
    ]
    assert set(page.texts("code")) >= {digest[:12] for digest in digests}
    assert f"#v-{variant('high')}" in {tag.attributes["href"] for tag in page.all("a")}
    rows = [tag.words for tag in Page(toy / "runs.html").all("tr")]
    assert any(variant("swept") in row and "none" in row for row in rows)


def test_the_same_runs_give_the_same_bytes(toy: Path) -> None:
    root = toy.parent / "results"
    before = {file.name: file.read_bytes() for file in toy.rglob("*.html")}
    write_site(toy, root, [toy.parent / "paper"], resolve, scan(root))
    assert {file.name: file.read_bytes() for file in toy.rglob("*.html")} == before


def test_an_unreadable_log_costs_its_curve_only(tmp_path: Path) -> None:
    where, root = papers(tmp_path / "paper"), runs(tmp_path / "results")
    log = root / EXPERIMENT / variant("high") / "seed=1" / "metrics.jsonl"
    log.write_text('{"step": 1, "epoch": 1.0, "train/loss": 1.0}\nnot json\n{"step": 2}\n')
    write_site(tmp_path / "site", root, [where], resolve, scan(root))
    page = Page(tmp_path / "site/paper/hostile.html")
    assert any("its curve is left out" in text for text in page.texts("li"))
    assert row_of(page, "High")[0].startswith("81.0 ± 2.5")


# --- the palette ----------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    )  # fmt: skip
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_enough_in_light_and_dark(toy: Path) -> None:
    """WCAG 2.2 AA: 4.5 for text (1.4.3), 3 for graphics and the edges of controls (1.4.11)."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    for palette in colours(Page(toy / "index.html").all("style")[0].text[0]).values():
        texts = [(name, "page") for name in ("ink", "muted", "link")] + [("ink", "raised")]
        texts += [(name, f"{name}-page") for name in ("good", "bad", "open", "idle")]
        for name, behind in texts:
            assert contrast(palette[name], palette[behind]) >= 4.5, (name, behind)
        for name in ("edge", "s0", "s1", "s2", "s3", "s4", "s5"):
            assert contrast(palette[name], palette["page"]) >= 3, name


# --- the scoreboard and the command ---------------------------------------------------------------


COUNTS = {
    "desk": {
        "finding": {"not run": 3, "reproduced": 2},
        "untuned": {"reproduced": 1},
        "robust": {"reproduced": 1},
        "identity": {"reproduced": 7},
        "against": {"inconclusive": 1},
    }
}


def test_the_scoreboard_has_tables_first_then_families(tmp_path: Path) -> None:
    board = [
        (reference(path), Standing(verdicts=COUNTS))
        if reference(path).has_tables
        else (reference(path), Standing())
        for path in find_all(folders()).values()
    ]
    text = scoreboard.markdown(board, tmp_path)
    tested = text.index("## Papers with tables")
    planned = text.index("## Planned")
    assert tested < text.index("Supervised Contrastive Learning") < planned
    assert "| 2 reproduced (1 untuned), 3 not run |  | 1 robust | 0 of 1 | 7 of 7 |" in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) == len(board)
    assert all((tmp_path / unquote(target)).is_file() for target in targets)
    assert text == scoreboard.markdown(board[::-1], tmp_path)
    tables = sum(paper.has_tables for paper, _ in board)
    assert (
        f"Desk scale: findings: {2 * tables} reproduced ({tables} untuned), {3 * tables} not run; "
        f"of those reproduced: {tables} robust; the paper contradicted: 0 of {tables}; "
        f"checks of the code passed: {7 * tables} of "
    ) in text


def test_the_readme_has_the_scoreboards_counts() -> None:
    """`ppr report --scoreboard results/README.md` writes them; the README repeats the lines."""
    home = Path(__file__).parents[2]
    board = (home / "results" / "README.md").read_text("utf-8").splitlines()
    lines = [line for line in board if re.match(r"- (Desk|Paper) scale: ", line)]
    assert lines
    assert set(lines) <= set((home / "README.md").read_text("utf-8").splitlines())


def test_the_scoreboard_escapes_its_text(tmp_path: Path) -> None:
    paper = Reference("x", HOSTILE, 2020, "a|b<c>", True, tmp_path / "a b(1).yaml")
    text = scoreboard.markdown([(paper, Standing())], tmp_path)
    [line] = [line for line in text.splitlines() if "a%20b%281%29.yaml" in line]
    assert "<script>" not in line.replace(r"\<", "")
    assert len(re.findall(r"(?<!\\)\|", line)) == 11


def test_the_command_writes_site_and_scoreboard(tmp_path: Path, monkeypatch, own_folders) -> None:
    where = papers(tmp_path / "paper")
    root = runs(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ppr.cli.report, "folders", lambda: [where])
    monkeypatch.setattr(ppr.cli.report, "resolve", resolve)

    def call(*words: str) -> str:
        result = CliRunner().invoke(
            ppr.cli.report.command, [*words, "--results", str(root)], catch_exceptions=False
        )
        assert result.exit_code == 0
        return result.output

    assert call() == "5 pages written to site; open site/index.html\n"
    assert call("--scoreboard", "board.md") == "scoreboard written to board.md\n"
    assert "1 reproduced (1 untuned), 1 not run (1 untuned) |  | 1 not asked |  | 1 of 1 |" in Path(
        "board.md"
    ).read_text(encoding="utf-8")
    call("--scoreboard", "board.md", "-o", "other")
    assert Path("other/index.html").is_file()


def test_the_first_screen_and_a_page_have_reported_beside_reproduced(toy: Path) -> None:
    """Of 81, 80 and 82 the interval is 81 ± 2.48; 82.5, known to 0.05, lies within neither way."""
    for name in ("index.html", "reported.html"):
        page = Page(toy / name)
        assert (
            "1 cell of 1 paper with a reported and a reproduced value: "
            "0 within, 1 undecided, 0 outside" in page.words
        )
        row = next(row.words for row in page.all("tr") if "82.5 %" in row.words)
        assert row.endswith("82.5 %81.0 ± 2.53± 0.05undecided")


def test_the_command_writes_what_the_readme_says(tmp_path: Path, monkeypatch, own_folders) -> None:
    where = papers(tmp_path / "paper")
    root = runs(tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ppr.cli.report, "folders", lambda: [where])
    monkeypatch.setattr(ppr.cli.report, "resolve", resolve)
    page = Path("README.md")
    page.write_text(f"# Mine\n{scoreboard.BEGIN}\nold\n{scoreboard.END}\nrest\n")
    words = ["--readme", "README.md", "--scoreboard", "board.md", "--results", str(root)]
    for _ in range(2):  # written over what it wrote itself
        ppr.cli.report.command(words, standalone_mode=False)
        text = page.read_text("utf-8")
        assert text.startswith(f"# Mine\n{scoreboard.BEGIN}\n- Desk scale: ")
        assert text.endswith(f"|\n{scoreboard.END}\nrest\n")
        assert "old" not in text
    assert "| 82.5 | 81.0 ± 2.5 | 3 | 0.05 | undecided |" in text
    board = Path("board.md").read_text("utf-8")
    assert {line for line in text.splitlines() if line.startswith("- ")} <= {*board.splitlines()}
    page.write_text("# No marks")
    assert "--readme README.md: no lines <!-- scoreboard -->" in refused(*words)
    assert page.read_text() == "# No marks"


def refused(*words: str) -> str:
    with pytest.raises(BadRequest) as caught:
        ppr.cli.report.command(list(words), standalone_mode=False)
    return str(caught.value)


def test_bad_requests_are_one_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("--results", "nowhere") == "--results nowhere: no such folder"
    assert "no folder nowhere" in refused("--scoreboard", "nowhere/README.md")
    Path("mine").mkdir()
    Path("mine/index.html").write_text("<h1>my own page</h1>")
    assert "not of `ppr report`" in refused("-o", "mine")
    assert Path("mine/index.html").read_text() == "<h1>my own page</h1>"
    assert not Path("mine/paper").exists()


def test_a_wrong_summary_is_left_out_and_told(tmp_path: Path) -> None:
    where, root = papers(tmp_path / "paper"), runs(tmp_path / "results")
    run(root, "high", 3, 0.99)
    file = root / EXPERIMENT / variant("high") / "seed=3" / "summary.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"variant": "f" * 10}))
    write_site(tmp_path / "site", root, [where], resolve, scan(root))
    page = Page(tmp_path / "site/paper/hostile.html")
    assert row_of(page, "High")[0].startswith("81.0 ± 2.5 (n=3)")
    assert any("of another run" in text for text in page.texts("li"))
