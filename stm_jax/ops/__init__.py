"""Pure functions of arrays: padding, the memory read, soft aggregation."""
