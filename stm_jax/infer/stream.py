"""One step of inference as pure functions: remember the last frame, segment the next."""

import dataclasses
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.config import ModelConfig
from stm_jax.memory.protocol import Device, Memory, MemoryState, MemoryView, candidate_of
from stm_jax.nn.decoder import Skips
from stm_jax.nn.encoders import QueryFeatures
from stm_jax.nn.stm import STM, Variables, decode, memorize, query
from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.padding import crop, pad, pad_frames, padding_to_stride
from stm_jax.ops.regions import object_positions
from stm_jax.reads.chunked import Chunked
from stm_jax.reads.protocol import Answer, Read, Regions
from stm_jax.reads.slots import read_slots


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides which program is compiled, besides shapes.

    Attributes:
        config: The network's.
        memory: What is written into the memory, and what gives way.
        dtype: What the convolutions and the memory work in.
        short_side: Frames are segmented at this short side, in pixels; None for their own.
        read: How the memory is read; None for `read_slots`, or in chunks where a slot of the
            memory is a single element.
    """

    config: ModelConfig
    memory: Memory
    dtype: jnp.dtype
    short_side: int | None
    read: Read | None = None

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size that frames of this size are segmented at."""
        if self.short_side is None:
            return height, width
        factor = self.short_side / min(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))


@flax.struct.dataclass
class State:
    """Where a video stands: the memory, and the frame that will be memorised next.

    Attributes:
        bank: The memory's state.
        frame: The last frame.
        masks: Its soft masks at its working size, background left out; absent objects are 0.
        present: Which objects are real; the others are padding.
        frame_number: Of the last frame; the first is 0.
        given: Whether a mask of the last frame was given.
        length: Frames of the whole video; 0 if that is not known.
    """

    bank: MemoryState
    frame: UInt8[Array, "h w 3"]
    masks: Float[Array, "objects h2 w2"]
    present: Bool[Array, " objects"]
    frame_number: Int[Array, ""]
    given: Bool[Array, ""]
    length: Int[Array, ""]


def begin(
    recipe: Recipe,
    slots: int,
    frame: UInt8[np.ndarray, "h w 3"],
    masks: Float[np.ndarray, "objects h w"],
    present: Bool[np.ndarray, " objects"],
    device: Device | None = None,
    length: int = 0,
) -> State:
    """Returns the state after the first frame, whose masks are given. Nothing is compiled."""
    size = recipe.working_size(*frame.shape[:2])
    padding = padding_to_stride(*size)
    features = (
        (size[0] + padding.top + padding.bottom) // 16,
        (size[1] + padding.left + padding.right) // 16,
    )
    channels = (recipe.config.key_channels, recipe.config.value_channels)
    bank = recipe.memory.empty(masks.shape[0], slots, features, channels, recipe.dtype, device)
    # Copied, for an array on the CPU may share its memory with NumPy.
    numbers = (np.zeros((), np.int32), np.ones((), bool), np.array(length, np.int32))
    rest = (frame.copy(), _nearest(masks, size), present.copy(), *numbers)
    return State(bank, *(jax.device_put(array, device) for array in rest))


class Question(NamedTuple):
    """What is asked of the memory, once the last frame is in it.

    Attributes:
        bank: The memory's state, with the last frame.
        features: Of the frame; its key asks.
        skips: What the decoder needs besides.
        expected: Where the objects are expected: where they were in the last frame.
    """

    bank: MemoryState
    features: QueryFeatures
    skips: Skips
    expected: Bool[Array, "objects h16 w16"]


def ask(
    recipe: Recipe, variables: Variables, state: State, frame: UInt8[Array, "h w 3"]
) -> Question:
    """Memorises the last frame with its soft masks, then encodes the next."""
    network = STM(recipe.config, recipe.dtype)
    size = recipe.working_size(*frame.shape[:2])
    padding = padding_to_stride(*size)
    masks = pad(state.masks, padding)[None]

    def remember(bank: MemoryState) -> MemoryState:
        # Resized once more rather than kept: so the first frame needs no program of its own.
        last = pad_frames(_to_working_size(state.frame, size), padding)[None]
        memorized = memorize(network, variables, last, masks, others(masks))
        candidate = candidate_of(
            memorized.key[0],
            memorized.value[0],
            masks[0],
            state.frame_number,
            state.present,
            state.given,
            state.length,
        )
        return recipe.memory.write(bank, candidate)

    wanted = recipe.memory.may_write(state.bank, state.given)
    if wanted is True:
        bank = remember(state.bank)
    else:
        bank = jax.lax.cond(wanted, remember, lambda bank: bank, state.bank)

    now = pad_frames(_to_working_size(frame, size), padding)[None]
    features, skips = query(network, variables, now)
    return Question(bank, features, skips, object_positions(masks[0]))


def advance(
    recipe: Recipe, variables: Variables, state: State, frame: UInt8[Array, "h w 3"]
) -> tuple[State, Float[Array, "1+objects h w"]]:
    """Memorises the last frame with its soft masks, then segments the next.

    Returns:
        The new state, and the probabilities of background and objects at the frame's own size.
    """
    network = STM(recipe.config, recipe.dtype)
    size = recipe.working_size(*frame.shape[:2])
    bank, features, skips, expected = ask(recipe, variables, state, frame)
    view = recipe.memory.view(bank)
    read = _read(recipe, view, features.key[0], expected)
    if recipe.memory.counts_usage:
        read, mass = read
        bank = recipe.memory.used(bank, mass)
    query_value = jnp.broadcast_to(features.value, read.shape)
    read = jnp.concatenate([read, query_value.astype(read.dtype)], axis=-1)
    log_odds = decode(network, variables, read[None], skips)[0]
    logits = aggregate(crop(log_odds, padding_to_stride(*size)), state.present)
    probabilities = softmax_over_objects(logits)

    new_state = State(
        bank=bank,
        frame=frame,
        masks=probabilities[1:],
        present=state.present,
        frame_number=state.frame_number + 1,
        given=jnp.zeros((), bool),
        length=state.length,
    )
    if frame.shape[:2] != size:
        shape = (probabilities.shape[0], *frame.shape[:2])
        probabilities = jax.image.resize(probabilities, shape, "bilinear")
    return new_state, probabilities


def overwrite(
    state: State,
    masks: Float[np.ndarray, "objects h w"],
    present: Bool[np.ndarray, " objects"],
    device: Device | None = None,
) -> State:
    """Puts given masks over the current estimate, where they are not empty. Nothing is compiled.

    Args:
        state: Of the frame that the masks belong to.
        masks: 0 or 1, one plane an object, at the frame's own size; of as many objects as the
            bank has room for.
        present: Which objects are real from now on.
        device: Where the state is; None for JAX's default.
    """
    estimate = np.asarray(state.masks)
    given = _nearest(masks, (estimate.shape[1], estimate.shape[2]))
    more = len(given) - len(estimate)
    estimate = np.pad(estimate, [(0, more), (0, 0), (0, 0)])
    anywhere = given.max(axis=0, keepdims=True) > 0
    return dataclasses.replace(
        state,
        masks=jax.device_put(np.where(anywhere, given, estimate), device),
        present=jax.device_put(present.copy(), device),
        given=jax.device_put(np.ones((), bool), device),
    )


def labels(
    probabilities: Float[Array, "1+objects h w"], object_ids: UInt8[Array, " 1+objects"]
) -> UInt8[Array, "h w"]:
    """Returns the id of the most probable object at every pixel (winner takes all)."""
    return object_ids[probabilities.argmax(axis=0)]


def _read(
    recipe: Recipe,
    view: MemoryView,
    query_key: Float[Array, "h16 w16 key"],
    expected: Bool[Array, "objects h16 w16"],
) -> Answer:
    """Reads the memory of every object; with the mass where the memory counts usage."""
    read = recipe.read
    if read is None:
        elements = view.region.shape[2:] == (1, 1)
        read = Chunked() if elements else read_slots

    def of_object(item: tuple) -> Answer:
        keys, values, filled, region, query_region = item
        return read(
            query_key,
            keys,
            values,
            filled,
            regions=Regions(region, query_region),
            with_mass=recipe.memory.counts_usage,
        )

    # One object after the other, so that the affinity of one at a time is in memory.
    return jax.lax.map(of_object, (*view, expected))


def _to_working_size(
    frame: UInt8[Array, "h w 3"], size: tuple[int, int]
) -> Float[Array, "h2 w2 3"]:
    scaled = frame.astype(jnp.float32) / 255
    if frame.shape[:2] == size:
        return scaled
    return jax.image.resize(scaled, (*size, 3), "bilinear", antialias=True)


def _nearest(
    masks: Float[np.ndarray, "objects h w"], size: tuple[int, int]
) -> Float[np.ndarray, "objects h2 w2"]:
    """Returns masks of another size, never interpolated: a blend of two masks is neither.

    The pixels are those that `jax.image.resize(..., "nearest")` takes.
    """
    for axis, length in enumerate(size, start=1):
        old = np.float32(masks.shape[axis])
        where = (np.arange(length, dtype=np.float32) + np.float32(0.5)) * old / np.float32(length)
        masks = masks.take(np.floor(where).astype(np.int32), axis=axis)
    return masks
