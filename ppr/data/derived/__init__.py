"""Data sets made of another one: a part, one class against the rest, a stream of tasks."""
