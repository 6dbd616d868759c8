"""Training: losses, step, checkpoints, loop."""
