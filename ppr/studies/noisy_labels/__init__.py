"""Studies: noisy labels."""
