"""Studies: long tail."""
