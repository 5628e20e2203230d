"""Studies: zero shot attributes."""
