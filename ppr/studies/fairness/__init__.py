"""Studies: fairness."""
