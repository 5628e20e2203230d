"""Studies: generative."""
