"""Studies: segmentation detection."""
