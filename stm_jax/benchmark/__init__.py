"""Segmenting and scoring whole data sets."""
