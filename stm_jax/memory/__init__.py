"""The memory: a rule decides, the bank stores, a read (stm_jax.ops.memory_read) reads."""
