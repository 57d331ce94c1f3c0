"""Sweeps of many runs: their start and end, members and shards."""
