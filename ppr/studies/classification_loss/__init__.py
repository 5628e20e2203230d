"""Studies: scaling laws."""
