"""Losses: metric learning."""
