"""Losses: recommendation."""
