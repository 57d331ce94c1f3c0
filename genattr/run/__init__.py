"""One run, from top to bottom."""
