"""Studies: pruning compression."""
