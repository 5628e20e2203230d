"""Evaluators: calibration."""
