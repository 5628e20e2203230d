"""What works on this machine, what is amiss, and what to do about it."""
