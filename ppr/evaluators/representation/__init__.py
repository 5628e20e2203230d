"""What is measured of features, pairs and neighbours."""
