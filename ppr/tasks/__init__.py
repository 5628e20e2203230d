"""Tasks: the ways of learning that a run can execute."""
