"""The memory bank: preallocated slots for the keys and values of frames, a plain pytree."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.protocol import EMPTY, Candidate, filled_with

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
        region: [objects, slots, h16, w16]; where the object was in that frame.
        frame_numbers: [slots]; the number of the frame in a slot, -1 where empty.
        permanent: [slots]; which slots no rule may empty.
        usage: [slots]; how much a frame was used, for the rules that count it; 0 at first.
        recent: [slots]; its share of the attention in the last read, for those rules.
        reads: [slots]; how often it was counted.
    """

    keys: Float[Array, "objects slots h16 w16 key"]
    values: Float[Array, "objects slots h16 w16 value"]
    filled: Bool[Array, "objects slots"]
    region: Bool[Array, "objects slots h16 w16"]
    frame_numbers: Int[Array, " slots"]
    permanent: Bool[Array, " slots"]
    usage: Float[Array, " slots"]
    recent: Float[Array, " slots"]
    reads: Int[Array, " slots"]


@flax.struct.dataclass
class Decision:
    """What a rule decides about one frame.

    Attributes:
        slot: Where the frame is written.
        dropped: [slots]; which slots are emptied before that.
        written: Whether the frame is written at all; if not, `slot` is left empty.
        permanent: Whether it may never be dropped.
    """

    slot: Int[Array, ""]
    dropped: Bool[Array, " slots"]
    written: Bool[Array, ""] | bool = True
    permanent: Bool[Array, ""] | bool = False


def empty_bank(
    shape: tuple[int, int, int, int], channels: tuple[int, int], dtype: jax.typing.DTypeLike
) -> MemoryBank:
    """Returns a bank with nothing in it: of (objects, slots, h16, w16) and (key, value)."""
    objects, slots, *_ = shape
    return MemoryBank(
        keys=filled_with(0, (*shape, channels[0]), dtype),
        values=filled_with(0, (*shape, channels[1]), dtype),
        filled=filled_with(False, (objects, slots), bool),
        region=filled_with(False, shape, bool),
        frame_numbers=filled_with(EMPTY, (slots,), jnp.int32),
        permanent=filled_with(False, (slots,), bool),
        usage=filled_with(0, (slots,), jnp.float32),
        recent=filled_with(0, (slots,), jnp.float32),
        reads=filled_with(0, (slots,), jnp.int32),
    )


def write(bank: MemoryBank, decision: Decision, candidate: Candidate) -> MemoryBank:
    """Writes one frame where the rule decided; in place where the bank's buffers are donated."""
    keep = ~decision.dropped
    at = decision.slot
    written = jnp.asarray(decision.written)
    number = jnp.where(written, candidate.frame_number, EMPTY)

    def put(array: Array, item: Array) -> Array:
        return jax.lax.dynamic_update_index_in_dim(array, item.astype(array.dtype), at, 1)

    return MemoryBank(
        keys=put(bank.keys, candidate.key),
        values=put(bank.values, candidate.value),
        filled=(bank.filled & keep).at[:, at].set(candidate.present & written),
        region=put(bank.region, candidate.region),
        frame_numbers=jnp.where(keep, bank.frame_numbers, EMPTY).at[at].set(number),
        permanent=(bank.permanent & keep).at[at].set(decision.permanent & written),
        usage=jnp.where(keep, bank.usage, 0.0).at[at].set(0.0),
        recent=jnp.where(keep, bank.recent, 0.0).at[at].set(0.0),
        reads=jnp.where(keep, bank.reads, 0).at[at].set(0),
    )


def shares(bank: MemoryBank, mass: Float[Array, "objects slots mh mw"]) -> Float[Array, " slots"]:
    """Returns the share of the attention of all objects that each slot received in a read."""
    received = jnp.where(bank.filled, mass.sum(axis=(2, 3)), 0.0).sum(axis=0)
    return received / jnp.maximum(received.sum(), jnp.finfo(jnp.float32).tiny)


def room_for_objects(bank: MemoryBank, objects: int) -> MemoryBank:
    """Returns the bank with room for more objects; those have no frame in memory yet."""
    more = objects - bank.filled.shape[0]

    def grown(array: Array) -> Array:
        return jnp.pad(array, [(0, more)] + [(0, 0)] * (array.ndim - 1))

    names = ("keys", "values", "filled", "region")
    return dataclasses.replace(bank, **{name: grown(getattr(bank, name)) for name in names})


def round_up(count: int, sizes: tuple[int, ...]) -> int:
    """Returns the smallest of the sizes that suffices, so that few programs are compiled.

    Beyond the largest, multiples of it are returned.
    """
    largest = sizes[-1]
    return next((size for size in sizes if size >= count), -(-count // largest) * largest)
