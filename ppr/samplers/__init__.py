"""Samplers: which samples are in which batch of an epoch."""
