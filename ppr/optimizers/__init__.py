"""Optimizers: each builds its parameter groups from a module and is a `torch.optim.Optimizer`."""
