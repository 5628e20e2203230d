"""What is measured of a trained model: linear probe, k-NN, accuracy, calibration."""
