"""Image augmentation on batches: one small file a recipe, over the operations of `ops`."""
