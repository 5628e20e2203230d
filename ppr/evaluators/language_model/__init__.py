"""Evaluators: language model."""
