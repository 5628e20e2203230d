"""Studies: optimizer."""
