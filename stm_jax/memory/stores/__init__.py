"""Memories of single positions instead of whole frames, one a file."""
