"""Studies: classification loss."""
