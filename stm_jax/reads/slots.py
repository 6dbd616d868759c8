"""STM's read, slot after slot: the default of inference."""

import dataclasses

import jax
import jax.numpy as jnp

from stm_jax.reads.affinity import LOWEST
from stm_jax.reads.protocol import Answer, Read


@dataclasses.dataclass(frozen=True)
class Slots(Read):
    """As `Dense`, slot after slot up to the last filled one; what frames are read with by default.

    The softmax is carried along, so that temporary memory does not grow with the slots, and time
    grows with the filled ones only. For inference: the number of turns depends on the data, so
    there is no gradient (`Chunked` has one). The mass takes a second turn over the keys.

    Source: STM (ICCV 2019); Milakov and Gimelshein 2018.
    Gradient: no.
    Temporary memory: one slot.
    """

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`."""
        memory_keys, memory_values, filled, _ = memory
        query = query_key.reshape(-1, query_key.shape[-1])
        scale = 1 / jnp.sqrt(jnp.float32(query.shape[-1]))
        count = jnp.max(jnp.where(filled, jnp.arange(1, filled.shape[0] + 1), 0))

        def products_of(slot):
            keys = jax.lax.dynamic_index_in_dim(memory_keys, slot, keepdims=False)
            return jnp.einsum(
                "qc,mc->qm",
                query,
                keys.reshape(-1, query.shape[-1]),
                preferred_element_type=jnp.float32,
            )

        def add_slot(slot, carry):
            largest, total, summed = carry
            values = jax.lax.dynamic_index_in_dim(memory_values, slot, keepdims=False)
            products = products_of(slot)
            new_largest = jnp.maximum(largest, products.max(axis=1))
            # Scaled here and not sooner, where it would be one more turn over the products.
            weights = jnp.exp(scale * (products - new_largest[:, None]))
            shrink = jnp.exp(scale * (largest - new_largest))
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
            jnp.full((positions,), LOWEST),
            jnp.zeros((positions,)),
            jnp.zeros((positions, memory_values.shape[-1])),
        )
        largest, total, summed = jax.lax.fori_loop(0, count, add_slot, start)
        total = jnp.where(total > 0, total, 1.0)
        read = summed / total[:, None]
        read = read.astype(memory_values.dtype).reshape(*query_key.shape[:2], -1)
        if not with_mass:
            return Answer(read)

        def add_mass(slot, mass):
            weights = jnp.exp(scale * (products_of(slot) - largest[:, None])) / total[:, None]
            return mass.at[slot].set(jnp.where(filled[slot], weights.sum(axis=0), 0.0))

        size = memory_keys.shape[1] * memory_keys.shape[2]
        mass = jax.lax.fori_loop(0, count, add_mass, jnp.zeros((filled.shape[0], size)))
        return Answer(read, mass.reshape(memory_keys.shape[:3]))
