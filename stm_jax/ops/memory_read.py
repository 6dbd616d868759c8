"""Reading the memory: where in time and space has this pixel been seen? (paper section 3.3)

A read is a function with the signature of `read_dense`. Other ways of reading the same memory
are further functions with that signature.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def affinity(
    query_key: Float[Array, "h w key"],
    memory_keys: Float[Array, "slots mh mw key"],
    filled: Bool[Array, " slots"],
) -> Float[Array, "h*w slots*mh*mw"]:
    """How much each query position attends to each memory position; rows sum to one.

    The softmax of the dot products over sqrt(key channels), over all positions of time,
    height and width. It is taken in float32; an empty slot weighs exactly 0.
    """
    channels = query_key.shape[-1]
    positions = memory_keys.shape[1] * memory_keys.shape[2]
    scores = jnp.einsum(
        "qc,mc->qm",
        query_key.reshape(-1, channels),
        memory_keys.reshape(-1, channels),
        preferred_element_type=jnp.float32,
    )
    scores = scores / jnp.sqrt(jnp.float32(channels))
    # finfo.min rather than -inf: with no slot filled at all, -inf would give NaN.
    scores = jnp.where(jnp.repeat(filled, positions), scores, jnp.finfo(jnp.float32).min)
    return jax.nn.softmax(scores, axis=-1)


def read_dense(
    query_key: Float[Array, "h w key"],
    memory_keys: Float[Array, "slots mh mw key"],
    memory_values: Float[Array, "slots mh mw value"],
    filled: Bool[Array, " slots"],
) -> Float[Array, "h w value"]:
    """Reads one object's memory at every query position, all slots at once.

    Args:
        query_key: The frame's key at stride 16.
        memory_keys: The keys of every slot.
        memory_values: The values of every slot; those of empty slots must be finite.
        filled: Which slots hold a frame of this object.

    Returns:
        The sum of the memory values weighted by the affinity, in their dtype.
    """
    weights = affinity(query_key, memory_keys, filled).astype(memory_values.dtype)
    values = memory_values.reshape(-1, memory_values.shape[-1])
    read = weights @ values  # (h*w, slots*mh*mw) @ (slots*mh*mw, value)
    return read.reshape(*query_key.shape[:2], -1)


def read_slots(
    query_key: Float[Array, "h w key"],
    memory_keys: Float[Array, "slots mh mw key"],
    memory_values: Float[Array, "slots mh mw value"],
    filled: Bool[Array, " slots"],
) -> Float[Array, "h w value"]:
    """Reads as `read_dense` does, slot after slot, up to the last filled one.

    The softmax is carried along (Milakov and Gimelshein, 2018), so that temporary memory does
    not grow with the slots, and time grows with the filled ones only. For inference: the number
    of turns depends on the data, so there is no gradient.

    Args and result: as of `read_dense`; with no slot filled the result is 0.
    """
    query = query_key.reshape(-1, query_key.shape[-1])
    scale = 1 / jnp.sqrt(jnp.float32(query.shape[-1]))
    count = jnp.max(jnp.where(filled, jnp.arange(1, filled.shape[0] + 1), 0))

    def add_slot(slot, carry):
        largest, total, summed = carry
        keys = jax.lax.dynamic_index_in_dim(memory_keys, slot, keepdims=False)
        values = jax.lax.dynamic_index_in_dim(memory_values, slot, keepdims=False)
        scores = scale * jnp.einsum(
            "qc,mc->qm",
            query,
            keys.reshape(-1, query.shape[-1]),
            preferred_element_type=jnp.float32,
        )
        new_largest = jnp.maximum(largest, scores.max(axis=1))
        weights = jnp.exp(scores - new_largest[:, None])
        shrink = jnp.exp(largest - new_largest)
        added = jnp.matmul(
            weights.astype(values.dtype),
            values.reshape(-1, values.shape[-1]),
            preferred_element_type=jnp.float32,
        )
        new = (
            new_largest,
            total * shrink + weights.sum(axis=1),
            summed * shrink[:, None] + added,
        )
        return jax.tree.map(lambda a, b: jnp.where(filled[slot], a, b), new, carry)

    positions = query.shape[0]
    start = (
        jnp.full((positions,), jnp.finfo(jnp.float32).min),
        jnp.zeros((positions,)),
        jnp.zeros((positions, memory_values.shape[-1])),
    )
    _, total, summed = jax.lax.fori_loop(0, count, add_slot, start)
    read = summed / jnp.where(total > 0, total, 1.0)[:, None]
    return read.astype(memory_values.dtype).reshape(*query_key.shape[:2], -1)
