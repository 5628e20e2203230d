"""Where configs, data, results and caches lie."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_configs() -> Path:
    """The folder of ppr's own YAML: inside an installed package, beside it in a source tree."""
    installed = _PACKAGE / "_configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def data_root(configured: str | None) -> Path | None:
    """The folder that mirrors the hub's Parquet files: `data.root`, else PPR_DATA, else none."""
    named = configured or os.environ.get("PPR_DATA")
    return Path(named).expanduser() if named else None
