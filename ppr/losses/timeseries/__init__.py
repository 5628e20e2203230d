"""Losses: timeseries."""
