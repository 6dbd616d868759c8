"""The network, in flax.linen: the only place that knows about modules."""
