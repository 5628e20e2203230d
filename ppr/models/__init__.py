"""Encoders, which map a batch of inputs to features, and the heads on top of them."""
