"""Studies: calibration."""
