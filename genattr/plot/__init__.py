"""Figures: heatmaps over photos, curves, bars."""
