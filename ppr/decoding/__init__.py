"""Decoding over any language model that gives next-token probabilities."""
