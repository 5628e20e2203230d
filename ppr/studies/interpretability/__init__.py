"""Studies: interpretability."""
