"""Finished runs as data: summaries, examples, groups of runs, found by name."""
