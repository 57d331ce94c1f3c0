"""Heatmaps on disk: by key in the store, all of a run in one file."""
