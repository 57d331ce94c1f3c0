"""Segmentations of photos for LIME and ``filler=mean_segment``: one option a file."""
