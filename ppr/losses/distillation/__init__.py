"""Losses: distillation."""
