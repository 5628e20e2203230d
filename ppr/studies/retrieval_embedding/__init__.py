"""Studies: retrieval embedding."""
