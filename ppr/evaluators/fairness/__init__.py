"""Evaluators: fairness."""
