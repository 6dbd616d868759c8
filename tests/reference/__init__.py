"""Independent implementations that the tests and the benchmark compare with."""
