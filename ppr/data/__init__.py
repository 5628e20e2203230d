"""Data sets, their sources on the hub or in a local mirror, and their splits."""
