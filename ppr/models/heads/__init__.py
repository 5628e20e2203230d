"""Heads: from an encoder's features to logits or to a space for a contrastive loss."""
