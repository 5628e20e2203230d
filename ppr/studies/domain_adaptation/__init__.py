"""Studies: domain adaptation."""
