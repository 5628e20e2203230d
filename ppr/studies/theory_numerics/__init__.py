"""Studies: theory numerics."""
