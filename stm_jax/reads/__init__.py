"""Ways to read the memory, one a file."""
