"""Exact incremental inference: recompute only what a removed rectangle changes."""
