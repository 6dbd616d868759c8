"""Overlays, heat maps and the pages to look at."""
