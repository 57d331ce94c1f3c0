"""Metrics: one file per component, named as in conf/metric."""
