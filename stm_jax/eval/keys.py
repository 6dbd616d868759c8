"""How an object of a data set is called."""

Key = tuple[str, int]
"""A sequence's name and an object's id."""
