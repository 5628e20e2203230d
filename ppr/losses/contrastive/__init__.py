"""Losses: contrastive."""
