"""Hyper-parameter search: what spans a space, who draws from it, what is chosen on validation."""
