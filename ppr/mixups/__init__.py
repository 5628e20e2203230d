"""Mixups: how the samples of a batch, and their targets, are blended with each other."""
