"""Studies: tasks without a training loop that check a theorem or a closed form."""
