"""Losses: noisy labels."""
