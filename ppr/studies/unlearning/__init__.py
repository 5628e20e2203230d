"""Studies: unlearning."""
