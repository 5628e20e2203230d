"""CSV cells as a spreadsheet may read them."""

from __future__ import annotations

from typing import Any


def inert(cell: Any) -> Any:
    """A cell, kept from being a formula: text that a spreadsheet would take for one is quoted."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell
