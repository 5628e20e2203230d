"""The parts of a reproduction, in the order in which they are run."""

from typing import Literal

Part = Literal["tuning", "table", "universes"]
PARTS: tuple[Part, ...] = ("tuning", "table", "universes")
"""The grids of a table; its cells, which are of what is best of them; its findings' universes."""
