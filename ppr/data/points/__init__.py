"""Points drawn from a known law."""
