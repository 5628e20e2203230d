"""The hot loop and what it stands on: device, precision, batches, checkpoints."""
