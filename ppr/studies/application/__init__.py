"""Studies: application."""
