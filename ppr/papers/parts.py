"""The parts of a reproduction, in the order in which they are run."""

from typing import Literal

Part = Literal["table", "universes"]
PARTS: tuple[Part, ...] = ("table", "universes")
"""The cells of a table; the universes of the findings about it."""
