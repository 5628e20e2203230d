"""Whatever is asked, the answer is an answer: exit code 0, 1 or 2, one line of error, no traceback.

PPR_BAD_REQUESTS=1600 asks as many as that.
"""

from __future__ import annotations

import os
import sys

from bad_requests import requests

from ppr import registry
from ppr.cli.main import main
from ppr.config import places, usage

COUNT = int(os.environ.get("PPR_BAD_REQUESTS", "100"))


def forget() -> None:
    """Let the next request begin as in a process of its own."""
    registry._plugin_files.clear()
    places._own_folders.clear()
    for known in (registry._index, registry.describe, registry._parse, places.option_files,
                  places.groups, usage._choices):  # fmt: skip
        known.cache_clear()


def test_no_request_gets_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_plugin_files", [])
    monkeypatch.setattr(places, "_own_folders", [])
    wrong = []
    refused = 0
    try:
        for arguments in requests(COUNT, tmp_path, seed=COUNT):
            forget()
            monkeypatch.setattr(sys, "argv", ["ppr", *arguments])
            try:
                main()
            except SystemExit as end:
                code = end.code
            except BaseException as error:
                wrong.append((arguments, repr(error)[:200]))
                continue
            said = capsys.readouterr().err
            refused += code != 0
            lines = [line for line in said.splitlines() if line.startswith("ppr: ")]
            if code not in (0, 1, 2) or "Traceback" in said or len(lines) > 3 or len(said) > 4000:
                wrong.append((arguments, code, said[:300]))
    finally:
        forget()
    assert not wrong, "\n".join(map(repr, wrong[:20])) + f"\n{len(wrong)} of {COUNT}"
    assert refused > COUNT // 4
