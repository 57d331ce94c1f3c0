"""Heatmaps on disk: one file per key in the store, one file for all heatmaps of a run."""
