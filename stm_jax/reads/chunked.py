"""The dense read in chunks: the same numbers and gradients, in temporary memory that is bounded."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stm_jax.reads.affinity import LOWEST, scores
from stm_jax.reads.protocol import Answer, Read


@dataclasses.dataclass(frozen=True)
class Chunked(Read):
    """As `Dense`, a chunk of memory positions at a time; what elements are read with by default.

    The softmax is carried along (online softmax: Milakov and Gimelshein, 2018). Its gradient
    recomputes the weights chunk by chunk from the largest score and the sum that each query
    position kept (FlashAttention: Dao et al., NeurIPS 2022, algorithm 4). Beside arguments,
    result and gradients, memory for h*w*(chunk + value) numbers is taken a few times, however
    many slots there are. Reverse-mode gradients only, of the mass too.

    Empty slots take time here, as in `Dense`; `Slots` stops at the last filled one.

    Source: Milakov and Gimelshein 2018; FlashAttention (NeurIPS 2022).
    Gradient: yes.
    Temporary memory: one chunk.

    Attributes:
        chunk: How many memory positions are read at a time.
    """

    chunk: int = 2048

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"a chunk must have at least 1 memory position, not {self.chunk}")

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`."""
        keys = memory.keys.reshape(-1, memory.keys.shape[-1])
        values = memory.values.reshape(-1, memory.values.shape[-1])
        answer: Any = _attend(
            min(self.chunk, keys.shape[0]),
            with_mass,
            query_key.reshape(-1, query_key.shape[-1]),
            keys,
            values,
            memory.filled,
        )
        summed, mass = answer
        read = summed.astype(values.dtype).reshape(*query_key.shape[:2], -1)
        return Answer(read, None if mass is None else mass.reshape(memory.keys.shape[:3]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _attend(
    chunk: int,
    with_mass: bool,
    query: Float[Array, "q key"],
    keys: Float[Array, "m key"],
    values: Float[Array, "m value"],
    filled: Bool[Array, " slots"],
) -> tuple[Float[Array, "q value"], Float[Array, " m"] | None]:
    """Returns the read and the mass of flattened positions, float32."""
    return _attend_forward(chunk, with_mass, query, keys, values, filled)[0]


def _attend_forward(chunk, with_mass, query, keys, values, filled):
    def add_chunk(index, carry):
        largest, total, summed = carry
        start, fresh = _chunk_at(index, chunk, keys, filled)
        found = jnp.where(fresh, scores(query, _cut(keys, start, chunk)), LOWEST)
        new_largest = jnp.maximum(largest, found.max(axis=1))
        weights = jnp.where(fresh, jnp.exp(found - new_largest[:, None]), 0.0)
        shrink = jnp.exp(largest - new_largest)
        added = jnp.matmul(
            weights.astype(values.dtype),
            _cut(values, start, chunk),
            preferred_element_type=jnp.float32,
        )
        total = total * shrink + weights.sum(axis=1)
        return new_largest, total, summed * shrink[:, None] + added

    positions = query.shape[0]
    begin = (
        jnp.full((positions,), LOWEST),
        jnp.zeros((positions,)),
        jnp.zeros((positions, values.shape[-1])),
    )
    largest, total, summed = _over_chunks(chunk, keys, add_chunk, begin)
    total = jnp.where(total > 0, total, 1.0)
    read = summed / total[:, None]
    softmax = (query, keys, filled, largest, total)
    if not with_mass:
        return (read, None), (softmax, values, read)

    def add_mass(index, mass):
        start, weights = _weights_of(index, chunk, softmax)
        return _add_at(mass, start, weights.sum(axis=0))

    mass = _over_chunks(chunk, keys, add_mass, jnp.zeros(keys.shape[:1]))
    return (read, mass), (softmax, values, read)


def _attend_backward(chunk, with_mass, kept, cotangents):
    softmax, values, read = kept
    query, keys, *_ = softmax
    of_read, of_mass = cotangents
    # The cotangent of a weight less its mean under the weights is that of its score.
    mean = (of_read * read).sum(axis=1)
    if with_mass:

        def add_mean(index, mean):
            start, weights = _weights_of(index, chunk, softmax)
            return mean + weights @ _cut(of_mass, start, chunk)

        mean = _over_chunks(chunk, keys, add_mean, mean)

    def add_chunk(index, carry):
        of_query, of_keys, of_values = carry
        start, weights = _weights_of(index, chunk, softmax)
        keys_here = _cut(keys, start, chunk).astype(jnp.float32)
        values_here = _cut(values, start, chunk).astype(jnp.float32)
        of_weights = of_read @ values_here.T
        if with_mass:
            of_weights = of_weights + _cut(of_mass, start, chunk)
        of_products = weights * (of_weights - mean[:, None])
        of_products = of_products / jnp.sqrt(jnp.float32(query.shape[-1]))
        return (
            of_query + of_products @ keys_here,
            _add_at(of_keys, start, of_products.T @ query.astype(jnp.float32)),
            _add_at(of_values, start, weights.T @ of_read),
        )

    begin = tuple(jnp.zeros(a.shape, jnp.float32) for a in (query, keys, values))
    sums = _over_chunks(chunk, keys, add_chunk, begin)
    pairs = zip(sums, (query, keys, values), strict=True)
    return (*(gradient.astype(a.dtype) for gradient, a in pairs), None)


_attend.defvjp(_attend_forward, _attend_backward)


def _over_chunks(chunk, keys, add, begin):
    return jax.lax.fori_loop(0, -(-keys.shape[0] // chunk), add, begin)


def _chunk_at(index, chunk, keys, filled):
    """Returns where a chunk starts, and which of its positions are filled and not read before.

    The last chunk is moved back so that it ends with the memory: padding would copy the memory.
    """
    start = jnp.minimum(index * chunk, keys.shape[0] - chunk)
    positions = start + jnp.arange(chunk)
    slots = positions // (keys.shape[0] // filled.shape[0])
    return start, filled[slots] & (positions >= index * chunk)


def _weights_of(index, chunk, softmax):
    """Returns where a chunk starts, and its weights once the softmax is known."""
    query, keys, filled, largest, total = softmax
    start, fresh = _chunk_at(index, chunk, keys, filled)
    found = jnp.where(fresh, scores(query, _cut(keys, start, chunk)), LOWEST)
    weights = jnp.exp(found - largest[:, None]) / total[:, None]
    return start, jnp.where(fresh, weights, 0.0)


def _cut(array, start, chunk):
    return jax.lax.dynamic_slice_in_dim(array, start, chunk)


def _add_at(array, start, added):
    here = jax.lax.dynamic_slice_in_dim(array, start, added.shape[0])
    return jax.lax.dynamic_update_slice_in_dim(array, here + added, start, 0)
