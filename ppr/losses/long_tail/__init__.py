"""Losses: long tail."""
