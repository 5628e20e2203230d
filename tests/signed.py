"""Made-up records as runs write them: with the digest, without which no table takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ppr.results import tree


def signed(
    summary: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {**summary, "digest": tree.record_digest(summary, config or {}, environment or {})}


def write_signed(
    folder: Path, summary: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> Path:
    """A finished run's files in its directory; the summary's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / tree.CONFIG).write_text(yaml.safe_dump(dict(config or {})))
    (folder / tree.ENVIRONMENT).write_text("{}")
    (folder / tree.SUMMARY).write_text(json.dumps(signed(summary, config)))
    return folder / tree.SUMMARY
