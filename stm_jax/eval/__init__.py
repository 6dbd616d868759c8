"""Scores: J and F as the DAVIS benchmark defines them."""
