"""Studies: language model."""
