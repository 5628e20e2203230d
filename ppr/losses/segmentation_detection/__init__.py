"""Losses: segmentation detection."""
