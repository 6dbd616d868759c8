"""What a read is, and what reads share."""

from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

LOWEST = jnp.finfo(jnp.float32).min
"""The score of what must not be read: with nothing to read at all, -inf would give NaN."""

Answer: TypeAlias = Any
"""What a read returns: values [h w value], or with_mass the pair of them and the mass."""


class Regions(NamedTuple):
    """Where the object is, for the reads that look there only.

    Attributes:
        memory: Where it was in the remembered frames. In a slot that holds no frame but a single
            element (mh = mw = 1), either value means that the element may be read.
        query: Where it is expected in the new frame: where it was in the one before.
    """

    memory: Bool[Array, "slots mh mw"]
    query: Bool[Array, "h w"]


class Read(Protocol):
    """What every read is called with, and what it returns."""

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory_keys: Float[Array, "slots mh mw key"],
        memory_values: Float[Array, "slots mh mw value"],
        filled: Bool[Array, " slots"],
        *,
        regions: Regions | None = None,
        with_mass: bool = False,
    ) -> Answer:
        """Reads one object's memory at every query position.

        A read is static under `jit`, and is mapped over objects by `jax.vmap` or `jax.lax.map`.
        Scores and softmax are float32 whatever the dtype of keys and values.

        Args:
            query_key: The frame's key at stride 16.
            memory_keys: The keys of every slot.
            memory_values: The values of every slot; those of empty slots must be finite.
            filled: Which slots hold something of this object; the others weigh exactly 0.
            regions: Where the object is; reads that look everywhere ignore it.
            with_mass: Whether to return the attention mass too.

        Returns:
            The weighted sum of the memory values [h w value], in their dtype; with_mass also the
            sum of the weights that each memory position received [slots mh mw], float32, which
            adds up to the number of query positions. A query position that has nothing to read,
            as all have where no slot is filled, gets the value 0 and gives no mass.
        """
        ...


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


def in_filled(
    filled: Bool[Array, " slots"], memory_keys: Float[Array, "slots mh mw key"]
) -> Bool[Array, "1 slots*mh*mw"]:
    """Returns which memory positions lie in a filled slot."""
    return jnp.repeat(filled, memory_keys.shape[1] * memory_keys.shape[2])[None]


def weighted_sum(
    weights: Float[Array, "h*w slots*mh*mw"],
    query_key: Float[Array, "h w key"],
    memory_values: Float[Array, "slots mh mw value"],
    with_mass: bool,
) -> Answer:
    """Returns what a read with these weights returns."""
    values = memory_values.reshape(-1, memory_values.shape[-1])
    summed = jnp.matmul(weights.astype(values.dtype), values, preferred_element_type=jnp.float32)
    read = summed.astype(values.dtype).reshape(*query_key.shape[:2], -1)
    return (read, weights.sum(axis=0).reshape(memory_values.shape[:3])) if with_mass else read


def affinity(
    query_key: Float[Array, "h w key"],
    memory_keys: Float[Array, "slots mh mw key"],
    filled: Bool[Array, " slots"],
) -> Float[Array, "h*w slots*mh*mw"]:
    """How much each query position attends to each memory position; rows sum to one.

    The softmax of the dot products over sqrt(key channels), over all positions of time,
    height and width. It is taken in float32; an empty slot weighs exactly 0.
    """
    return softmax_where(in_filled(filled, memory_keys), scores(query_key, memory_keys))
