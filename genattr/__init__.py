"""Attribution heatmaps, and the question what should stand where a photo is removed."""

__version__ = "0.1.0"
