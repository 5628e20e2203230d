"""Studies: regularization."""
