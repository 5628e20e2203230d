"""Evaluators: interpretability."""
