"""Evaluators: unlearning."""
