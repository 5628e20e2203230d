"""The results tree: write it, read it, choose from it, average over its seeds."""
