"""Classifiers: one file per component, named as in conf/classifier."""
