"""The step of inference, compiled once: remember the last frame, segment the next."""

import dataclasses
import functools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt8

from stm_jax.config import ModelConfig
from stm_jax.infer import zoom
from stm_jax.infer.openvino import OpenVino
from stm_jax.infer.zoom import Window
from stm_jax.memory.protocol import Memory, candidate_of, check_read
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.nn.decoder import Skips
from stm_jax.nn.encoders import KeyValue
from stm_jax.nn.stm import STM, Variables, decode, memorize, query, view_of
from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.padding import STRIDE, crop, pad, pad_frames, padding_to_stride
from stm_jax.ops.regions import object_positions
from stm_jax.reads import Chunked, Slots
from stm_jax.reads.protocol import Answer, MemoryView, Read


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides which program is compiled, besides shapes.

    Attributes:
        config: The network's.
        memory: What is written into the memory, and what gives way.
        dtype: What the convolutions and the memory work in.
        short_side: Frames are segmented at this short side, in pixels; None for their own.
        read: How the memory is read; None for the memory's own read, `Slots`, or `Chunked` where a
            slot of the memory is a single element.
        runtime: What runs the network, with weights of its own; None for JAX.
        zoom: Whether frames are seen through a window that follows the objects: `infer/zoom.py`.
    """

    config: ModelConfig
    memory: Memory
    dtype: jnp.dtype
    short_side: int | None
    read: Read | None = None
    runtime: OpenVino | None = None
    zoom: bool = False

    def __post_init__(self) -> None:
        check_read(self.memory, self.read)

    @property
    def network(self) -> STM:
        """The network, without its weights."""
        return STM(self.config, self.dtype)

    def memorized(
        self,
        variables: Variables,
        frames: Float[Array, "b h w 3"],
        masks: Float[Array, "b o h w"],
    ) -> KeyValue:
        """Returns keys and values of frames with their objects, (b, o, h16, w16, channels)."""
        if self.runtime is not None:
            return self.runtime.memorize(frames, masks, others(masks))
        return memorize(self.network, variables, frames, masks, others(masks))

    def queried(
        self, variables: Variables, frames: Float[Array, "b h w 3"]
    ) -> tuple[KeyValue, Skips]:
        """Returns what asks the memory, and what the decoder needs besides."""
        if self.runtime is not None:
            return self.runtime.query(frames)
        features, skips = query(self.network, variables, frames)
        return KeyValue(features.key, features.value), skips

    def decoded(
        self,
        variables: Variables,
        found: Float[Array, "o h16 w16 value"],
        asked: Float[Array, "1 h16 w16 value"],
        skips: Skips,
    ) -> Float[Array, "o h w"]:
        """Returns the log-odds of each object, of what was read for it and the query's value."""
        asked = jnp.broadcast_to(asked, found.shape).astype(found.dtype)
        both = jnp.concatenate([found, asked], axis=-1)[None]
        if self.runtime is not None:
            return self.runtime.decode(both, skips)[0]
        return decode(self.network, variables, both, skips)[0]

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the size that frames of this size are segmented at."""
        if self.short_side is None:
            return height, width
        factor = self.short_side / min(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of a remembered key and of a value."""
        return self.network.channels

    def feature_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the rows and columns of keys and values, for frames of a working size."""
        padding = padding_to_stride(*size)
        height = size[0] + padding.top + padding.bottom
        return height // STRIDE, (size[1] + padding.left + padding.right) // STRIDE

    def prepared(
        self, frame: UInt8[Array, "h w 3"], window: Window | None = None
    ) -> Float[Array, "1 h2 w2 3"]:
        """Returns a frame as the network takes it: in [0, 1], at the working size, padded.

        Args:
            frame: The whole of it.
            window: What is seen of it; None for all.
        """
        size = self.working_size(*frame.shape[:2])
        scaled = frame.astype(jnp.float32) / 255
        if window is not None:
            scaled = zoom.seen(scaled, window, size)
        elif frame.shape[:2] != size:
            scaled = jax.image.resize(scaled, (*size, 3), "bilinear", antialias=True)
        return pad_frames(scaled, padding_to_stride(*size))[None]


@flax.struct.dataclass
class VideoState:
    """Where a video stands: the memory, and the frame that will be memorised next.

    Attributes:
        bank: The memory's state.
        frame: The last frame.
        masks: Its soft masks at its working size, background left out; absent objects are 0.
            With a window, what it shows of them.
        present: Which objects are real; the others are padding.
        frame_number: Of the last frame; the first is 0.
        given: Whether a mask of the last frame was given.
        length: Frames of the whole video; 0 if that is not known.
        window: What is seen of the last frame; None for all.
    """

    bank: PyTree[Array]
    frame: UInt8[Array, "h w 3"]
    masks: Float[Array, "objects h2 w2"]
    present: Bool[Array, " objects"]
    frame_number: Int[Array, ""]
    given: Bool[Array, ""]
    length: Int[Array, ""]
    window: Window | None = None

    @property
    def padded_masks(self) -> Float[Array, "objects h3 w3"]:
        """The soft masks, padded with 0 to multiples of 16."""
        return pad(self.masks, padding_to_stride(*self.masks.shape[1:]))


def begin(
    recipe: Recipe,
    slots: int,
    frame: UInt8[np.ndarray, "h w 3"],
    masks: Float[np.ndarray, "objects h w"],
    present: Bool[np.ndarray, " objects"],
    length: int = 0,
) -> VideoState:
    """Returns the state after the first frame, whose masks are given. Nothing is compiled."""
    size = recipe.working_size(*frame.shape[:2])
    features = recipe.feature_size(size)
    bank = recipe.memory.empty(masks.shape[0], slots, features, recipe.channels, recipe.dtype)
    # Copied, for an array on the CPU may share its memory with NumPy.
    numbers = (np.zeros((), np.int32), np.ones((), bool), np.array(length, np.int32))
    window = first_window(masks, size) if recipe.zoom else None
    rest = (frame.copy(), working_masks(masks, size, window), present.copy(), *numbers)
    return VideoState(bank, *map(jax.device_put, rest), window=window)


@functools.partial(jax.jit, static_argnames=("recipe", "soft"), donate_argnames="state")
def advance(
    recipe: Recipe,
    soft: bool,
    variables: Variables,
    state: VideoState,
    frame: UInt8[Array, "h w 3"],
    object_ids: UInt8[Array, " 1+objects"],
) -> tuple[VideoState, Array]:
    """Memorises the last frame with its soft masks, then segments the next.

    Args:
        recipe: Of the stream.
        soft: Whether probabilities are returned.
        variables: Of the network.
        state: Where the video stands; donated, so it is gone.
        frame: The next.
        object_ids: That of the background, 0, then those of the objects.

    Returns:
        The new state, and at the frame's own size the id of the most probable object of every
        pixel, or the probabilities of background and objects, [1 + objects, h, w].
    """
    if state.window is not None:
        state = looking_on(state, state.window)
    bank = remembered(recipe, variables, state)
    asked, skips = recipe.queried(variables, recipe.prepared(frame, state.window))
    view = recipe.memory.view(bank)
    own_read = recipe.memory.own_read
    read = own_read or recipe.read or default_read(view)

    def read_object(item: tuple[MemoryView, Bool[Array, "h16 w16"]]) -> Answer:
        memory, expected = item
        memory = memory if own_read else view_of(recipe.network, memory)
        return read(asked.key[0], memory, expected, with_mass=recipe.memory.counts_usage)

    # One object after the other, so that the affinity of one at a time is in memory.
    found, mass = jax.lax.map(read_object, (view, object_positions(state.padded_masks)))
    if mass is not None:
        bank = recipe.memory.used(bank, mass)
    log_odds = recipe.decoded(variables, found, asked.value, skips)
    size = recipe.working_size(*frame.shape[:2])
    logits = aggregate(crop(log_odds, padding_to_stride(*size)), state.present)
    probabilities = softmax_over_objects(logits)
    new_state = dataclasses.replace(
        state,
        bank=bank,
        frame=frame,
        masks=probabilities[1:],
        frame_number=state.frame_number + 1,
        given=jnp.zeros((), bool),
    )
    if state.window is not None:
        objects = zoom.put_back(probabilities[1:], state.window, (frame.shape[0], frame.shape[1]))
        background = 1 - objects.sum(axis=0, keepdims=True)
        probabilities = jnp.concatenate([background, objects])
    elif frame.shape[:2] != size:
        shape = (probabilities.shape[0], *frame.shape[:2])
        probabilities = jax.image.resize(probabilities, shape, "bilinear")
    return new_state, probabilities if soft else object_ids[probabilities.argmax(axis=0)]


@functools.partial(jax.jit, static_argnames=("recipe", "soft"), donate_argnames="state")
def advance_clip(
    recipe: Recipe,
    soft: bool,
    variables: Variables,
    state: VideoState,
    frames: UInt8[Array, "t h w 3"],
    count: Int[Array, ""],
    object_ids: UInt8[Array, " 1+objects"],
) -> tuple[VideoState, Array]:
    """Segments the first `count` of the frames; what stands behind them is padding."""

    def segment(state: VideoState, frame: Array) -> tuple[VideoState, Array]:
        return advance(recipe, soft, variables, state, frame, object_ids)

    result = jax.eval_shape(segment, state, frames[0])[1]

    def skip(state: VideoState, frame: Array) -> tuple[VideoState, Array]:
        return state, jnp.zeros(result.shape, result.dtype)

    def segment_or_skip(state: VideoState, item: tuple) -> tuple[VideoState, Array]:
        index, frame = item
        return jax.lax.cond(index < count, segment, skip, state, frame)

    return jax.lax.scan(segment_or_skip, state, (jnp.arange(frames.shape[0]), frames))


def remembered(recipe: Recipe, variables: Variables, state: VideoState) -> PyTree[Array]:
    """Returns the memory's state once the last frame, with its soft masks, is offered to it."""
    memory = recipe.memory

    def remember(variables: Variables, state: VideoState) -> PyTree[Array]:
        masks = state.padded_masks[None]
        # Resized once more rather than kept: so the first frame needs no program of its own.
        last = recipe.prepared(state.frame, state.window)
        key, value = recipe.memorized(variables, last, masks)
        candidate = candidate_of(
            key[0],
            value[0],
            masks[0],
            state.frame_number,
            state.present,
            state.given,
            state.length,
        )
        return memory.write(state.bank, candidate)

    wanted = memory.may_write(state.bank, state.given)
    if wanted is True:
        return remember(variables, state)

    # Of many videos one after the other: at once, all would be encoded where any may be.
    @jax.custom_batching.sequential_vmap
    def remember_if(wanted: Array, variables: Variables, state: VideoState) -> PyTree[Array]:
        return jax.lax.cond(wanted, remember, lambda _, state: state.bank, variables, state)

    return remember_if(wanted, variables, state)


def looking_on(state: VideoState, window: Window) -> VideoState:
    """Returns the state of the last frame as it is seen through the window for the next."""
    size = state.frame.shape[0], state.frame.shape[1]
    chosen = zoom.next_window(state.masks, window, size)
    return dataclasses.replace(state, masks=zoom.moved(state.masks, window, chosen), window=chosen)


def default_read(view: MemoryView) -> Read:
    """Returns how a memory is read unless it is said."""
    return Chunked() if view.keys.shape[2:4] == (1, 1) else Slots()


def must_drop(memory: Memory, state: VideoState) -> bool:
    """Returns whether STM's rule drops a frame in the next step; others have a bound on purpose."""
    if not isinstance(memory, EveryNth):
        return False
    return memory.kept(int(state.frame_number) + 1) > state.bank.frame_numbers.shape[0] - 1


def with_given_masks(
    state: VideoState,
    masks: Float[np.ndarray, "objects h w"],
    present: Bool[np.ndarray, " objects"],
    spoken_of: Bool[np.ndarray, " objects"] | None = None,
) -> VideoState:
    """Puts given masks over the current estimate, where they are not empty. Nothing is compiled.

    Args:
        state: Of the frame that the masks belong to.
        masks: 0 or 1, one plane an object, at the frame's own size; of as many objects as the
            bank has room for.
        present: Which objects are real from now on.
        spoken_of: Of which objects their masks say all: they are nowhere else. None for none.
    """
    size, window = (state.masks.shape[1], state.masks.shape[2]), state.window
    estimate = np.asarray(state.masks)
    if window is not None:
        last, window = jnp.asarray(estimate), jnp.asarray(np.asarray(window))
        chosen = first_window(masks, size, last, window)
        estimate, window = np.asarray(zoom.moved(last, window, chosen)), chosen
    given = working_masks(masks, size, window)
    more = len(given) - len(estimate)
    estimate = np.pad(estimate, [(0, more), (0, 0), (0, 0)])
    anywhere = given.max(axis=0, keepdims=True) > 0
    if spoken_of is not None:
        anywhere = anywhere | spoken_of[:, None, None]
    return dataclasses.replace(
        state,
        masks=jax.device_put(np.where(anywhere, given, estimate)),
        present=jax.device_put(present.copy()),
        given=jax.device_put(np.ones((), bool)),
        window=window,
    )


def first_window(
    masks: Float[np.ndarray, "objects h w"],
    working: tuple[int, int],
    estimate: Float[Array, "objects2 h2 w2"] | None = None,
    window: Window | None = None,
) -> Window:
    """Returns the window for given masks of a frame, and for what is estimated in another one."""
    size = masks.shape[1], masks.shape[2]
    box, there = zoom.box_of(jnp.asarray(masks), zoom.whole(size))
    if estimate is not None and window is not None:
        old, there_too = zoom.box_of(estimate, window)
        both = jnp.concatenate([jnp.minimum(box[:2], old[:2]), jnp.maximum(box[2:], old[2:])])
        box = jnp.where(there & there_too, both, jnp.where(there, box, old))
        there = there | there_too
    return jnp.where(there, zoom.around(box, size, working), zoom.whole(size))


def working_masks(
    masks: Float[np.ndarray, "objects h w"], size: tuple[int, int], window: Window | None
) -> Float[np.ndarray, "objects h2 w2"]:
    """Returns given masks at the working size, of what is seen."""
    if window is None:
        return nearest(masks, size)
    return zoom.nearest_seen(masks, np.asarray(window), size)


def nearest(
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
