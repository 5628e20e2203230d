"""Studies: evaluation statistics."""
