"""Losses: fairness."""
