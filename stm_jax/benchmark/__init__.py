"""Segmenting and scoring whole data sets, and comparing variants on them."""
