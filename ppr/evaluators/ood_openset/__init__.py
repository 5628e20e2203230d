"""Evaluators: ood openset."""
