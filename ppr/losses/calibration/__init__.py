"""Losses: calibration."""
