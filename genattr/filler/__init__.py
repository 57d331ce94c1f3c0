"""Fillers: one file per component, named as in conf/filler."""
