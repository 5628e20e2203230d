"""Losses: classification loss."""
