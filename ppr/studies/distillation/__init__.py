"""Studies: distillation."""
