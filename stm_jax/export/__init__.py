"""The network as programs for others to run: made here, run without this package's `nn`."""
