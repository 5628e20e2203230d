"""Losses: language model."""
