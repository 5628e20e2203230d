"""Evaluators: generative."""
