"""What the element stores share: flat positions instead of frames."""

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.protocol import filled_with
from stm_jax.reads.protocol import MemoryView


@flax.struct.dataclass
class Elements:
    """Single positions of frames, each with its key and value; every object has its own.

    Attributes:
        keys: [objects, elements, key].
        values: [objects, elements, value]; zeros where empty, always finite.
        filled: [objects, elements].
        usage: [objects, elements]; how much an element was used, where that is counted.
        age: [objects, elements]; for how many reads, or since which frame, as the store says.
    """

    keys: Float[Array, "objects elements key"]
    values: Float[Array, "objects elements value"]
    filled: Bool[Array, "objects elements"]
    usage: Float[Array, "objects elements"]
    age: Int[Array, "objects elements"]


def no_elements(
    objects: int, elements: int, channels: tuple[int, int], dtype: jax.typing.DTypeLike
) -> Elements:
    """Returns room for so many elements of each object; nothing is compiled to make it."""
    shape = (objects, elements)
    return Elements(
        keys=filled_with(0, (*shape, channels[0]), dtype),
        values=filled_with(0, (*shape, channels[1]), dtype),
        filled=filled_with(False, shape, bool),
        usage=filled_with(0, shape, jnp.float32),
        age=filled_with(0, shape, jnp.int32),
    )


def view_of(elements: Elements) -> MemoryView:
    """Returns the elements as slots of one position each."""
    return MemoryView(
        keys=elements.keys[:, :, None, None],
        values=elements.values[:, :, None, None],
        filled=elements.filled,
        region=jnp.ones((*elements.filled.shape, 1, 1), bool),
    )


def room_for_more(leaf: Array, objects: int) -> Array:
    """Returns an array [objects, ...] with zeros for further objects."""
    return jnp.pad(leaf, [(0, objects - leaf.shape[0])] + [(0, 0)] * (leaf.ndim - 1))


def flat(positions: Float[Array, "objects h w c"]) -> Float[Array, "objects h*w c"]:
    """Returns the positions of a frame in reading order."""
    return positions.reshape(positions.shape[0], -1, positions.shape[-1])


def cosines(one: Float[Array, "n key"], other: Float[Array, "m key"]) -> Float[Array, "n m"]:
    """Returns the cosine of every pair of keys, float32; 0 for a key that is 0."""
    return unit(one) @ unit(other).T


def unit(vectors: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Returns the vectors with length 1, float32; those of length 0 as they are."""
    vectors = vectors.astype(jnp.float32)
    return vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
