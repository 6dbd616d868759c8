"""Following a training clip from its first mask, with the memory that will be run with."""

import functools
import operator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from stm_jax.memory.protocol import Memory, candidate_of
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.decoder import Skips
from stm_jax.nn.encoders import QueryFeatures
from stm_jax.nn.stm import STM, Variables, decode, memorize, query, view_of
from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.padding import STRIDE
from stm_jax.ops.regions import object_positions
from stm_jax.reads import Dense
from stm_jax.reads.protocol import Answer, MemoryView, Read

ALL_FRAMES = EveryNth(1)
"""The paper's training: every frame of a clip is remembered."""

DENSE = Dense()
"""The paper's read."""


class Followed(NamedTuple):
    """What came of a clip.

    Attributes:
        logits: Of background and objects in frames 1 to t - 1, float32.
        carried: What share of each object the affinity alone carries over to those frames from
            the true masks of the remembered ones, in [0, 1], float32.
    """

    logits: Float[Array, "b t-1 1+o h w"]
    carried: Float[Array, "b o t-1 h16 w16"]


def follow_clip(
    network: STM,
    variables: Variables,
    frames: Float[Array, "b t h w 3"],
    masks: Float[Array, "b o t h w"],
    present: Bool[Array, "b o"],
    *,
    memory: Memory = ALL_FRAMES,
    read: Read = DENSE,
    remat: bool = False,
) -> Followed:
    """Segments short clips from their first masks, with a memory as in inference.

    The first frame is offered to the memory with its true mask, every later one with its soft
    mask (paper section 3.5), and gradients flow through what was written; what a memory decides
    has none. Frame i of the clip is the memory's frame number i, whatever was left out between.

    Args:
        network: The network.
        variables: Its variables.
        frames: In [0, 1]; sides that are multiples of 16.
        masks: The true masks, one plane an object and frame, 0 or 1. Only the first frame's are
            seen by the network.
        present: Which objects are real rather than padding.
        memory: What is written and what gives way. Every clip has a memory of its own.
        read: How the memory is read, unless by a read of its own; it must have a gradient.
        remat: Whether a frame's activations are computed again for the gradient rather than
            kept: then only the memory and the masks between frames are, and the activations of
            one frame at a time are in memory, however long the clip is.
    """
    batch, objects, length, height, width = masks.shape
    cells = (height // STRIDE, width // STRIDE)
    # The true mask is one more channel of the value: reading it costs next to nothing.
    key_channels, value_channels = network.channels
    channels = (key_channels, value_channels + 1)
    shares = shares_of_cells(masks)
    ask = functools.partial(query, network, variables)

    def empty(_: jax.Array) -> PyTree[Array]:
        slots = memory.slots_for(length)
        assert slots is not None  # None is for videos of unknown length
        return memory.empty(objects, slots, cells, channels, network.dtype)

    # Made inside, so that the empty banks are constants of the program.
    state = jax.vmap(empty)(jnp.arange(batch))

    def advance(carry: tuple, step: tuple) -> tuple[tuple, tuple]:
        (state, soft_masks), (index, last_frames, last_shares, asked) = carry, step
        memorized = memorize(network, variables, last_frames, soft_masks, others(soft_masks))
        share = last_shares[..., None].astype(memorized.value.dtype)
        value = jnp.concatenate([memorized.value, share], axis=-1)
        remember = functools.partial(_remember, memory, index, length)
        state = jax.vmap(remember)(state, memorized.key, value, soft_masks, present)
        features, skips = ask(asked) if remat else asked
        look = functools.partial(_look, network, memory, read)
        state, found = jax.vmap(look)(state, features.key, object_positions(soft_masks))
        found, share = found[..., :-1], found[..., -1]
        logits = _decode(network, variables, found, features, skips, present)
        soft_masks = softmax_over_objects(logits)[:, 1:]
        return (state, soft_masks), (logits, share.astype(jnp.float32))

    by_frame = functools.partial(jnp.moveaxis, source=1, destination=0)
    if remat:
        asked = by_frame(frames[:, 1:])
    else:
        # All frames in one batch: on a TPU a step is a third shorter, see docs/speed.md.
        asked = jax.tree.map(
            lambda each: by_frame(each.reshape(batch, length - 1, *each.shape[1:])),
            ask(frames[:, 1:].reshape(-1, height, width, 3)),
        )
    steps = (
        jnp.arange(length - 1),
        by_frame(frames[:, :-1]),
        jnp.moveaxis(shares[:, :, :-1], 2, 0),
        asked,
    )
    carry = state, masks[:, :, 0]
    if remat:
        # A loop, for what is computed again in a straight line XLA may find and keep after all.
        again = jax.checkpoint(advance, prevent_cse=False)
        _, (logits, carried) = jax.lax.scan(again, carry, steps)
    else:
        found = []
        for index in range(length - 1):
            carry, frame = advance(carry, jax.tree.map(operator.itemgetter(index), steps))
            found.append(frame)
        logits, carried = jax.tree.map(lambda *each: jnp.stack(each), *found)
    return Followed(jnp.moveaxis(logits, 0, 1), jnp.moveaxis(carried, 0, 2))


def _remember(
    memory: Memory,
    index: Int[Array, ""],
    length: int,
    state: PyTree[Array],
    key: Float[Array, "o h16 w16 key"],
    value: Float[Array, "o h16 w16 value"],
    soft_masks: Float[Array, "o h w"],
    present: Bool[Array, " o"],
) -> PyTree[Array]:
    """Offers one clip's frame to its memory."""
    given, frames = index == 0, jnp.array(length, jnp.int32)
    # What is decided on has no gradient: only keys and values have.
    seen = jax.lax.stop_gradient(soft_masks)
    candidate = candidate_of(key, value, seen, index, present, given, frames)
    written = memory.write(state, candidate)
    wanted = memory.may_write(state, given)
    if wanted is True:
        return written
    return jax.tree.map(lambda new, old: jnp.where(wanted, new, old), written, state)


def _look(
    network: STM,
    memory: Memory,
    read: Read,
    state: PyTree[Array],
    query_key: Float[Array, "h16 w16 key"],
    expected: Bool[Array, "o h16 w16"],
) -> tuple[PyTree[Array], Float[Array, "o h16 w16 value"]]:
    """Reads one clip's memory for each of its objects."""
    view = memory.view(state)

    def of_object(view: MemoryView, expected: Bool[Array, "h16 w16"]) -> Answer:
        if memory.own_read:
            return memory.own_read(query_key, view, with_mass=memory.counts_usage)
        seen = view_of(network, view)
        return read(query_key, seen, expected, with_mass=memory.counts_usage)

    found, mass = jax.vmap(of_object)(view, expected)
    if mass is not None:
        state = memory.used(state, jax.lax.stop_gradient(mass))
    return state, found


def _decode(
    network: STM,
    variables: Variables,
    found: Float[Array, "b o h16 w16 value"],
    features: QueryFeatures,
    skips: Skips,
    present: Bool[Array, "b o"],
) -> Float[Array, "b 1+o h w"]:
    """Turns what was read into logits of background and objects."""
    query_value = jnp.broadcast_to(features.value[:, None], found.shape)
    found = jnp.concatenate([found, query_value], axis=-1)
    return aggregate(decode(network, variables, found, skips), present)


def shares_of_cells(masks: Float[Array, "*lead h w"]) -> Float[Array, "*lead h16 w16"]:
    """Returns what share of each position at stride 16 a mask covers."""
    *lead, height, width = masks.shape
    cells = masks.reshape(*lead, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    return cells.mean(axis=(-3, -1))
