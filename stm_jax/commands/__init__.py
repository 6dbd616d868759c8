"""The commands of `stm-jax`, one module each. They import what is heavy only when they run."""
