"""Studies: contrastive."""
