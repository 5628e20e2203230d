"""The site of `ppr report` in a real browser: Chromium without a window, driven over a pipe.

Chromium's DevTools protocol takes JSON messages, each ended by a zero byte, on file descriptor 3,
and answers on 4 (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_toy import HOSTILE, colours, site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-pipe",
]  # fmt: skip
SECONDS = 60
PAGES = ["index.html", "runs.html", "paper/hostile.html", "paper/planned.html"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


class Browser:
    """One page of a Chromium of our own; what it logs and asks for is kept."""

    def __init__(self, profile: Path) -> None:
        command_read, self._command = os.pipe()
        self._answers, answer_write = os.pipe()
        words = shlex.join([str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"])
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {words} 3<&{command_read} 4>&{answer_write}"],
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(command_read)
        os.close(answer_write)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._command)
            os.close(self._answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._command, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda found: found.get("id") == self._number)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _until(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while True:
            while b"\0" in self._buffer:
                data, _, self._buffer = self._buffer.partition(b"\0")
                message: dict[str, Any] = json.loads(data)
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            assert ready, "chromium does not answer"
            read = os.read(self._answers, 1 << 20)
            assert read, "chromium has ended"
            self._buffer += read

    def open(self, file: Path, width: int = 1280, dark: bool = False, script: bool = True) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda found: found.get("method") == "Page.loadEventFired")

    def run(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def press_enter(self) -> None:
        enter = {"key": "Enter", "windowsVirtualKeyCode": 13}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **enter)
        self.call("Input.dispatchKeyEvent", type="keyUp", **enter)

    def nodes(self, role: str) -> list[str]:
        """The names that a screen reader is told for a role."""
        tree = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            node.get("name", {}).get("value", "")
            for node in tree
            if not node["ignored"] and node["role"]["value"] == role
        ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_quietly_and_fits_a_phone(browser: Browser, toy: Path, name: str) -> None:
    for width in (1280, 400, 320):
        browser.open(toy / name, width)
        asked = [e for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        addresses = [event["params"]["request"]["url"] for event in asked]
        assert addresses == [(toy / name).as_uri()]
        loud = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        assert not [event for event in browser.events if event["method"] in loud]
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.title")
        beyond = """[...document.querySelectorAll("main *")].filter(e =>
            !e.closest(".wide") && !e.closest("pre") && !e.closest(".hidden")
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"""
        assert browser.run(beyond) == []


@pytest.mark.parametrize("name", PAGES)
def test_a_screen_reader_finds_its_way(browser: Browser, toy: Path, name: str) -> None:
    browser.open(toy / name, 400)
    for role in ("banner", "main", "contentinfo"):
        assert len(browser.nodes(role)) == 1, role
    for role in ("navigation", "heading", "table", "link", "image", "region", "button"):
        assert all(browser.nodes(role)), role
    assert "Skip to content" in browser.nodes("link")


def test_the_board_stays_a_table_on_a_phone(browser: Browser, toy: Path) -> None:
    browser.open(toy / "index.html", 400)
    assert "Papers" in browser.nodes("table")
    heads = ["Paper", "Year", "Family", "Implemented", "Reached", "Verdicts"]
    found = [head for head in browser.nodes("columnheader") if head in heads]
    assert found[: len(heads)] == heads
    assert set(found[len(heads) :]) <= {"Paper"}  # of what is reported beside reproduced, below it
    assert len([name for name in browser.nodes("rowheader") if "planned" in name]) == 1


def test_the_keyboard_reaches_the_content(browser: Browser, toy: Path) -> None:
    browser.open(toy / "index.html")
    browser.press("Tab", 9)
    shown = "document.activeElement.getBoundingClientRect().left >= 0"
    assert browser.run("document.activeElement.textContent") == "Skip to content"
    assert browser.run(shown)
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press_enter()
    assert browser.run("location.hash") == "#main"


def test_the_filter_and_the_sort_work_and_say_so(browser: Browser, toy: Path) -> None:
    browser.open(toy / "index.html")
    rows = """[...document.querySelectorAll("#board tbody tr:not([hidden])")]
        .map(row => row.cells[1].textContent)"""
    said = "document.getElementById('shown').textContent"
    assert browser.run(rows) == ["2020", "2021"]
    assert browser.run(said) == "2 of 2 papers shown"
    browser.run("document.querySelector('input').focus()")
    browser.call("Input.insertText", text="PLAN")
    assert browser.run(rows) == ["2021"]
    assert browser.run(said) == "1 of 2 papers shown"
    browser.open(toy / "index.html")
    choose = """(name, value) => { const select = document.querySelector(`select[name=${name}]`);
        select.value = value; select.dispatchEvent(new Event("input", {bubbles: true})) }"""
    browser.run(f"({choose})('standing', 'reproduced')")
    assert browser.run(rows) == ["2020"]
    browser.run(f"({choose})('family', 'other')")
    assert browser.run(said) == "0 of 2 papers shown"
    browser.open(toy / "index.html")
    browser.run("document.querySelectorAll('#board th button')[1].focus()")
    sorts = (
        "[...document.querySelectorAll('#board thead th')].map(h => h.getAttribute('aria-sort'))"
    )
    for years, order in ((["2020", "2021"], "ascending"), (["2021", "2020"], "descending")):
        browser.press_enter()
        assert browser.run(rows) == years
        assert browser.run(sorts) == [None, order, None, None, None, None]


def test_the_board_is_whole_without_script(browser: Browser, toy: Path) -> None:
    browser.open(toy / "index.html", script=False)
    text = browser.nodes("StaticText")
    assert "Planned" in text
    assert " ".join(HOSTILE.split()) in [" ".join(name.split()) for name in browser.nodes("link")]
    assert browser.nodes("searchbox") == []


def test_dark_mode_follows_the_system(browser: Browser, toy: Path) -> None:
    style = (toy / "index.html").read_text(encoding="utf-8")
    for dark in (False, True):
        browser.open(toy / "paper/hostile.html", dark=dark)
        page = colours(style)["dark" if dark else "light"]["page"]
        channels = ", ".join(str(int(page[i : i + 2], 16)) for i in (1, 3, 5))
        assert browser.run("getComputedStyle(document.body).backgroundColor") == f"rgb({channels})"


def test_a_cells_link_opens_its_runs(browser: Browser, toy: Path) -> None:
    browser.open(toy / "paper/hostile.html")
    browser.run("document.querySelector('.values td a').click()")
    target = browser.run("document.querySelector(decodeURIComponent(location.hash)).tagName")
    assert target == "DETAILS"


def test_curves_fill_their_frame_and_stay_in_it(browser: Browser, toy: Path) -> None:
    browser.open(toy / "paper/hostile.html", 400)
    boxes = browser.run("""[...document.querySelectorAll(".chart > svg path.line")].map(path => {
        const box = path.getBoundingClientRect();
        const frame = path.ownerSVGElement.getBoundingClientRect();
        return [box.width, frame.width, box.left - frame.left, frame.right - box.right] })""")
    assert len(boxes) == 2
    for width, frame, left, right in boxes:
        assert width > frame / 2
        assert left >= 0
        assert right >= 0
