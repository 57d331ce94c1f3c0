"""Pure functions over heatmaps and scores: statistics, figures."""
