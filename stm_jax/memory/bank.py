"""The memory bank: preallocated slots for the keys and values of frames, a plain pytree."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

EMPTY = -1
CAPACITIES = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
OBJECT_COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 255)


@flax.struct.dataclass
class MemoryBank:
    """Slots of fixed number and size: nothing compiles again while they fill.

    Attributes:
        keys: [objects, slots, h16, w16, key channels].
        values: [objects, slots, h16, w16, value channels]; zeros where empty, always finite.
        filled: [objects, slots]; whether a slot holds a frame of this object. An object that
            appeared later has none of the earlier frames.
        frame_numbers: [slots]; the number of the frame in a slot, -1 where empty.
    """

    keys: Float[Array, "objects slots h16 w16 key"]
    values: Float[Array, "objects slots h16 w16 value"]
    filled: Bool[Array, "objects slots"]
    frame_numbers: Int[Array, " slots"]


@flax.struct.dataclass
class Decision:
    """What a rule decides about one frame.

    Attributes:
        slot: Where the frame is written.
        dropped: [slots]; which slots are emptied before that.
    """

    slot: Int[Array, ""]
    dropped: Bool[Array, " slots"]


def empty_bank(
    objects: int, slots: int, feature_size: tuple[int, int], channels: tuple[int, int], dtype
) -> MemoryBank:
    """Returns a bank with nothing in it.

    Args:
        objects: How many objects it has room for.
        slots: How many frames it has room for.
        feature_size: Rows and columns at stride 16.
        channels: Of a key and of a value.
        dtype: Of keys and values.
    """
    shape = (objects, slots, *feature_size)
    return MemoryBank(
        keys=jnp.zeros((*shape, channels[0]), dtype),
        values=jnp.zeros((*shape, channels[1]), dtype),
        filled=jnp.zeros((objects, slots), bool),
        frame_numbers=jnp.full((slots,), EMPTY, jnp.int32),
    )


def write(
    bank: MemoryBank,
    decision: Decision,
    key: Float[Array, "objects h16 w16 key"],
    value: Float[Array, "objects h16 w16 value"],
    frame_number: Int[Array, ""],
    present: Bool[Array, " objects"],
) -> MemoryBank:
    """Writes one frame where the rule decided; in place where the bank's buffers are donated."""
    keep = ~decision.dropped
    at = decision.slot
    return MemoryBank(
        keys=jax.lax.dynamic_update_index_in_dim(bank.keys, key.astype(bank.keys.dtype), at, 1),
        values=jax.lax.dynamic_update_index_in_dim(
            bank.values, value.astype(bank.values.dtype), at, 1
        ),
        filled=(bank.filled & keep).at[:, at].set(present),
        frame_numbers=jnp.where(keep, bank.frame_numbers, EMPTY).at[at].set(frame_number),
    )


def room_for_objects(bank: MemoryBank, objects: int) -> MemoryBank:
    """Returns the bank with room for more objects; those have no frame in memory yet."""
    more = objects - bank.filled.shape[0]

    def grown(array: Array) -> Array:
        return jnp.pad(array, [(0, more)] + [(0, 0)] * (array.ndim - 1))

    return dataclasses.replace(
        bank, keys=grown(bank.keys), values=grown(bank.values), filled=grown(bank.filled)
    )


def round_up(count: int, sizes: tuple[int, ...]) -> int:
    """Returns the smallest of the sizes that suffices, so that few programs are compiled.

    Beyond the largest, multiples of it are returned.
    """
    largest = sizes[-1]
    return next((size for size in sizes if size >= count), -(-count // largest) * largest)
