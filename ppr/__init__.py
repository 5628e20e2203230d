"""ppr reproduces published machine-learning results."""

from __future__ import annotations

from ppr.config.build import build
from ppr.loading import Loaded, load
from ppr.registry import add_plugin, component

__version__ = "0.1.0"
__all__ = ["Loaded", "__version__", "add_plugin", "build", "component", "load"]
