"""Studies: recommendation."""
