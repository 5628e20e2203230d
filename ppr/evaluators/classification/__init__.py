"""What is measured of a classifier's scores."""
