"""Exact faster inference: fused layers, and windows that recompute only what changes."""
