"""A benchmark that is drawn, not downloaded: long videos, exact truth, a knob a difficulty."""
