"""Losses: self supervised."""
