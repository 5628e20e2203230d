"""Data sets of text and tokens."""
