"""Fillers: one file a component, under the names of conf/filler."""
