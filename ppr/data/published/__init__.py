"""Data sets: what papers published of their runs (loss curves, result tables, outputs, ratings)."""
