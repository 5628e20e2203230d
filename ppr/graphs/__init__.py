"""Graphs: normalised adjacency, random views, and bounds over all views within a budget."""
