"""Frames and masks: reading and writing them, and training clips made of them."""
