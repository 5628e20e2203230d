"""Where runs are launched: several at a time on this machine, or as jobs of a SLURM cluster."""
