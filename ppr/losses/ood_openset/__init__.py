"""Losses: ood openset."""
