"""Datasets: one file per component, named as in conf/dataset."""
