"""The pieces of a read: scores, a softmax over what may be read, a weighted sum."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stm_jax.reads.protocol import Answer, MemoryView

LOWEST = jnp.finfo(jnp.float32).min
"""The score of what must not be read: with nothing to read at all, -inf would give NaN."""


def scores(
    query_key: Float[Array, "*q key"], memory_keys: Float[Array, "*m key"]
) -> Float[Array, "q m"]:
    """Returns the dot products over sqrt(key channels) of all positions, flattened; float32."""
    channels = query_key.shape[-1]
    products = jnp.einsum(
        "qc,mc->qm",
        query_key.reshape(-1, channels),
        memory_keys.reshape(-1, channels),
        preferred_element_type=jnp.float32,
    )
    return products / jnp.sqrt(jnp.float32(channels))


def softmax_where(allowed: Bool[Array, "#q m"], scores: Float[Array, "q m"]) -> Float[Array, "q m"]:
    """Returns the softmax over the allowed memory positions; the others weigh exactly 0.

    Rows sum to 1, or to 0 where nothing is allowed.
    """
    weights = jax.nn.softmax(jnp.where(allowed, scores, LOWEST), axis=-1)
    return jnp.where(allowed, weights, 0.0)


def in_filled(memory: MemoryView) -> Bool[Array, "1 slots*mh*mw"]:
    """Returns which memory positions lie in a filled slot."""
    return jnp.repeat(memory.filled, memory.keys.shape[1] * memory.keys.shape[2])[None]


def affinity(
    query_key: Float[Array, "h w key"], memory: MemoryView
) -> Float[Array, "h*w slots*mh*mw"]:
    """How much each query position attends to each memory position; rows sum to one.

    The softmax of the dot products over sqrt(key channels), over all positions of time,
    height and width. It is taken in float32; an empty slot weighs exactly 0.
    """
    return softmax_where(in_filled(memory), scores(query_key, memory.keys))


def weighted_sum(
    weights: Float[Array, "h*w slots*mh*mw"],
    query_key: Float[Array, "h w key"],
    memory: MemoryView,
    with_mass: bool,
) -> Answer:
    """Returns what a read with these weights answers."""
    values = memory.values.reshape(-1, memory.values.shape[-1])
    summed = jnp.matmul(weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    read = summed.astype(values.dtype).reshape(*query_key.shape[:2], -1)
    mass = weights.sum(axis=0).reshape(memory.keys.shape[:3]) if with_mass else None
    return Answer(read, mass)
