"""What may be done to a stream between two frames: frames pinned, objects removed."""

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.infer.given import planes_of
from stm_jax.infer.stream import (
    Recipe,
    VideoState,
    first_window,
    with_given_masks,
    working_masks,
)
from stm_jax.infer.zoom import Window
from stm_jax.memory.bank import OBJECT_COUNTS, MemoryBank, round_up
from stm_jax.memory.pinned import PLACES, Pinned, PinnedState, put
from stm_jax.memory.protocol import EMPTY, candidate_of
from stm_jax.nn.stm import Variables
from stm_jax.ops.padding import pad, padding_to_stride


def without_pinned(recipe: Recipe) -> Recipe:
    """Returns the recipe of a stream in which no frame is pinned."""
    memory = recipe.memory
    return (
        dataclasses.replace(recipe, memory=memory.memory) if isinstance(memory, Pinned) else recipe
    )


def with_places_of(recipe: Recipe, arrays: Mapping[str, np.ndarray]) -> Recipe:
    """Returns the recipe of a stream that was saved as these arrays."""
    pinned = arrays.get("bank_frames_frame_numbers")
    return without_pinned(recipe) if pinned is None else _with_places(recipe, len(pinned))


def _with_places(recipe: Recipe, places: int) -> Recipe:
    plain = without_pinned(recipe)
    return dataclasses.replace(plain, memory=Pinned(plain.memory, places))


def joined(
    object_ids: tuple[int, ...], mask: UInt8[np.ndarray, "h w"], told: Collection[int]
) -> tuple[int, ...]:
    """Returns the objects of a stream once a mask is given, the new ones last."""
    new = ({*np.unique(mask).tolist(), *told} - {0}).difference(object_ids)
    return object_ids + tuple(sorted(new))


def overlaid(
    ids: UInt8[np.ndarray, "h w"], mask: UInt8[np.ndarray, "h w"], told: Collection[int]
) -> UInt8[np.ndarray, "h w"]:
    """Returns estimated ids with a mask over them; `told` are nowhere but where it shows them."""
    left = np.where(np.isin(ids, list(told)), 0, ids)
    return np.where(mask > 0, mask, left).astype(np.uint8)


def give(
    recipe: Recipe,
    state: VideoState,
    object_ids: tuple[int, ...],
    mask: UInt8[np.ndarray, "h w"],
    told: Collection[int],
) -> VideoState:
    """Gives a mask of the last frame.

    Args:
        recipe: Of the stream.
        state: Of the stream.
        object_ids: Of its objects, new ones among them.
        mask: Where it is not 0 it overwrites the estimate.
        told: The objects that it says all of: they are nowhere else.
    """
    room = state.present.shape[0]
    if len(object_ids) > room:
        room = round_up(len(object_ids), OBJECT_COUNTS)
        state = dataclasses.replace(state, bank=recipe.memory.grown(state.bank, room))
    planes, present = planes_of(mask, object_ids, room)
    return with_given_masks(state, planes, present, _among(told, object_ids, room))


def with_place(recipe: Recipe, state: VideoState, number: int) -> Recipe:
    """Returns the recipe of a stream with room to pin a frame of this number."""
    if not isinstance(state.bank, PinnedState):
        return _with_places(recipe, PLACES[0])
    numbers = np.asarray(state.bank.frames.frame_numbers)
    if EMPTY in numbers or number in numbers:
        return recipe
    return _with_places(recipe, round_up(len(numbers) + 1, PLACES))


def pin(
    recipe: Recipe,
    variables: Variables,
    state: VideoState,
    frame: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w"],
    object_ids: tuple[int, ...],
    told: Collection[int],
    number: int,
) -> VideoState:
    """Pins a frame in the memory of a stream, whether it is one of the stream or not.

    A program is compiled for the pinning and one for the stream's steps when the first frame is
    pinned, and when there is room for twice as many.

    Args:
        recipe: Of the stream, as `with_place` says.
        variables: Of the network.
        state: Of the stream.
        frame: Of the size of its frames.
        mask: Of the frame.
        object_ids: Of the stream's objects; others in the mask are passed over.
        told: The objects that it speaks of, besides those that it shows; of the others it is not in
            memory.
        number: By which it is known; a frame that was pinned by it before gives way.
    """
    bank = _with_room(recipe, state)
    room = state.present.shape[0]
    planes, _ = planes_of(mask, object_ids, room)
    known = planes.any(axis=(1, 2)) | _among(told, object_ids, room)
    size = recipe.working_size(*frame.shape[:2])
    window = first_window(planes, size) if recipe.zoom else None
    planes = working_masks(planes, size, window)
    frames = _pinned(recipe, variables, bank.frames, frame, planes, known, np.int32(number), window)
    return dataclasses.replace(state, bank=PinnedState(bank.own, frames))


def of_objects(recipe: Recipe, state: VideoState, kept: Sequence[int]) -> VideoState:
    """Returns the state with these objects alone, in this order, and as much room as before.

    Nothing is compiled but for paddings. Pinned frames that show none of them are let go.
    """
    memory, room = recipe.memory, state.present.shape[0]
    index = np.array(kept, np.int64)
    # Of any memory: the arrays that grow with the objects are those that have them as first axis.
    more = jax.eval_shape(lambda bank: memory.grown(bank, room + 1), state.bank)

    def rows(leaf: Array, grown: jax.ShapeDtypeStruct) -> Array:
        return leaf if leaf.shape == grown.shape else jax.device_put(np.asarray(leaf)[index])

    bank = memory.grown(jax.tree.map(rows, state.bank, more), room)
    if isinstance(bank, PinnedState):
        shown = np.asarray(bank.frames.filled).any(axis=0)
        numbers = np.where(shown, np.asarray(bank.frames.frame_numbers), EMPTY)
        frames = dataclasses.replace(bank.frames, frame_numbers=jax.device_put(numbers))
        bank = dataclasses.replace(bank, frames=frames)
    masks = np.zeros(state.masks.shape, np.float32)
    masks[: len(index)] = np.asarray(state.masks)[index]
    present = jax.device_put(np.arange(room) < len(index))
    return dataclasses.replace(state, bank=bank, masks=jax.device_put(masks), present=present)


def _among(
    told: Collection[int], object_ids: tuple[int, ...], room: int
) -> Bool[np.ndarray, " objects"]:
    """Returns which of the objects that there is room for are told of."""
    known = np.zeros(room, bool)
    known[: len(object_ids)] = np.isin(object_ids, list(told))
    return known


@functools.partial(jax.jit, static_argnames="recipe", donate_argnames="frames")
def _pinned(
    recipe: Recipe,
    variables: Variables,
    frames: MemoryBank,
    frame: UInt8[Array, "h w 3"],
    masks: Float[Array, "objects h2 w2"],
    known: Bool[Array, " objects"],
    number: Int[Array, ""],
    window: Window | None,
) -> MemoryBank:
    padded = pad(masks, padding_to_stride(*masks.shape[1:]))
    picture = recipe.prepared(frame, window)
    key, value = recipe.memorized(variables, picture, padded[None])
    given, length = jnp.ones((), bool), jnp.zeros((), jnp.int32)
    return put(frames, candidate_of(key[0], value[0], padded, number, known, given, length))


def _with_room(recipe: Recipe, state: VideoState) -> PinnedState:
    """Returns the memory with the recipe's room for pinned frames, and those that there were."""
    assert isinstance(recipe.memory, Pinned)
    before, objects = state.bank, state.present.shape[0]
    places = recipe.memory.places
    if isinstance(before, PinnedState) and len(before.frames.frame_numbers) == places:
        return before
    features = recipe.feature_size((state.masks.shape[1], state.masks.shape[2]))
    frames = recipe.memory.no_frames(objects, features, recipe.channels, recipe.dtype)
    if not isinstance(before, PinnedState):
        return PinnedState(before, frames)

    def put_in(new: Array, old: Array) -> Array:
        room = np.array(new)
        room[tuple(slice(length) for length in old.shape)] = np.asarray(old)
        return jax.device_put(room)

    return PinnedState(before.own, jax.tree.map(put_in, frames, before.frames))
