"""Hostile and broken inputs, made by generators with a seed: `python -m tests.hostile --help`."""
