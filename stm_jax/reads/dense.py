"""STM's read: all slots at once."""

from jaxtyping import Array, Bool, Float

from stm_jax.reads.protocol import Answer, Regions, affinity, weighted_sum


def read_dense(
    query_key: Float[Array, "h w key"],
    memory_keys: Float[Array, "slots mh mw key"],
    memory_values: Float[Array, "slots mh mw value"],
    filled: Bool[Array, " slots"],
    *,
    regions: Regions | None = None,
    with_mass: bool = False,
) -> Answer:
    """STM's read, all slots at once: the memory values weighted by the affinity.

    Has gradients. Temporary memory grows with the slots: the affinity has h*w*slots*mh*mw
    numbers. Arguments and result are those of `Read`.
    """
    del regions
    weights = affinity(query_key, memory_keys, filled)
    return weighted_sum(weights, query_key, memory_values, with_mass)
