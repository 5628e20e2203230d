"""Evaluators: segmentation detection."""
