"""Tables: rows of columns."""
