"""One step of inference as pure functions: remember the last frame, segment the next."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.config import ModelConfig
from stm_jax.memory.bank import MemoryBank, empty_bank, write
from stm_jax.memory.rules import EveryNth
from stm_jax.nn.stm import STM, Variables, decode, memorize, query
from stm_jax.ops.aggregate import aggregate, others
from stm_jax.ops.memory_read import read_slots
from stm_jax.ops.padding import crop, pad, pad_frames, padding_to_stride


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that decides which program is compiled, besides shapes.

    Attributes:
        config: The network's.
        rule: What is written into the memory.
        dtype: What the convolutions and the memory work in.
        short_side: Frames are segmented at this short side, in pixels; None for their own.
    """

    config: ModelConfig
    rule: EveryNth
    dtype: jnp.dtype
    short_side: int | None

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
        bank: The memory.
        frame: The last frame at its working size, in [0, 1].
        masks: Its soft masks, background left out; absent objects are 0.
        present: Which objects are real; the others are padding.
        frame_number: Of the last frame; the first is 0.
    """

    bank: MemoryBank
    frame: Float[Array, "h w 3"]
    masks: Float[Array, "objects h w"]
    present: Bool[Array, " objects"]
    frame_number: Int[Array, ""]


def begin(
    recipe: Recipe,
    slots: int,
    frame: UInt8[Array, "h w 3"],
    masks: Float[Array, "objects h w"],
    present: Bool[Array, " objects"],
) -> State:
    """Returns the state after the first frame, whose masks are given."""
    size = recipe.working_size(*frame.shape[:2])
    padding = padding_to_stride(*size)
    features = (
        (size[0] + padding.top + padding.bottom) // 16,
        (size[1] + padding.left + padding.right) // 16,
    )
    channels = (recipe.config.key_channels, recipe.config.value_channels)
    return State(
        bank=empty_bank(masks.shape[0], slots, features, channels, recipe.dtype),
        frame=_to_working_size(frame, size),
        masks=_masks_to_working_size(masks, size),
        present=present,
        frame_number=jnp.zeros((), jnp.int32),
    )


def advance(
    recipe: Recipe, variables: Variables, state: State, frame: UInt8[Array, "h w 3"]
) -> tuple[State, Float[Array, "1+objects h w"]]:
    """Memorises the last frame with its soft masks, then segments the next.

    Returns:
        The new state, and the probabilities of background and objects at the frame's own size.
    """
    network = STM(recipe.config, recipe.dtype)
    size = (state.frame.shape[0], state.frame.shape[1])
    padding = padding_to_stride(*size)

    last = pad_frames(state.frame, padding)[None]
    masks = pad(state.masks, padding)[None]
    memorized = memorize(network, variables, last, masks, others(masks))
    bank = write(
        state.bank,
        recipe.rule.decide(state.bank, state.frame_number),
        memorized.key[0],
        memorized.value[0],
        state.frame_number,
        state.present,
    )

    resized = _to_working_size(frame, size)
    asking, skips = query(network, variables, pad_frames(resized, padding)[None])
    # One object after the other, so that the affinity of one at a time is in memory.
    read = jax.lax.map(
        lambda memory: read_slots(asking.key[0], *memory), (bank.keys, bank.values, bank.filled)
    )
    query_value = jnp.broadcast_to(asking.value, read.shape)
    read = jnp.concatenate([read, query_value.astype(read.dtype)], axis=-1)
    log_odds = decode(network, variables, read[None], skips)[0]
    logits = aggregate(crop(log_odds, padding), state.present)
    probabilities = jax.nn.softmax(logits, axis=0)

    new_state = State(
        bank=bank,
        frame=resized,
        masks=probabilities[1:],
        present=state.present,
        frame_number=state.frame_number + 1,
    )
    if frame.shape[:2] != size:
        shape = (probabilities.shape[0], *frame.shape[:2])
        probabilities = jax.image.resize(probabilities, shape, "bilinear")
    return new_state, probabilities


def overwrite(
    state: State, masks: Float[Array, "objects h w"], present: Bool[Array, " objects"]
) -> State:
    """Puts given masks over the current estimate, where they are not empty.

    Args:
        state: Of the frame that the masks belong to.
        masks: 0 or 1, one plane an object, at the frame's own size.
        present: Which objects are real from now on.
    """
    given = _masks_to_working_size(masks, (state.frame.shape[0], state.frame.shape[1]))
    anywhere = given.max(axis=0, keepdims=True) > 0
    masks = jnp.where(anywhere, given, state.masks)
    return dataclasses.replace(state, masks=masks, present=present)


def labels(
    probabilities: Float[Array, "1+objects h w"], object_ids: UInt8[Array, " 1+objects"]
) -> UInt8[Array, "h w"]:
    """Returns the id of the most probable object at every pixel (winner takes all)."""
    return object_ids[probabilities.argmax(axis=0)]


def _to_working_size(
    frame: UInt8[Array, "h w 3"], size: tuple[int, int]
) -> Float[Array, "h2 w2 3"]:
    scaled = frame.astype(jnp.float32) / 255
    if frame.shape[:2] == size:
        return scaled
    return jax.image.resize(scaled, (*size, 3), "bilinear", antialias=True)


def _masks_to_working_size(
    masks: Float[Array, "objects h w"], size: tuple[int, int]
) -> Float[Array, "objects h2 w2"]:
    # Never interpolated: a blend of two masks is neither.
    return jax.image.resize(masks, (masks.shape[0], *size), "nearest")
