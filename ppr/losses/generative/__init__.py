"""Losses: generative."""
