"""A look into the read: for a pixel of a frame, where in which memory frame it went."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.errors import InputError
from stm_jax.infer.stream import Recipe, VideoState, remembered
from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.object_rule import ObjectFrames
from stm_jax.memory.pinned import PinnedState
from stm_jax.memory.protocol import EMPTY
from stm_jax.nn.stm import Variables, view_of
from stm_jax.ops.padding import STRIDE, padding_to_stride
from stm_jax.ops.regions import object_positions
from stm_jax.reads import Chunked, Slots
from stm_jax.reads.protocol import MemoryView


@dataclasses.dataclass(frozen=True)
class Attention:
    """How much one query position read from every memory position, for each object.

    Attributes:
        weights: They sum to 1 for an object (to 0 if it has nothing in memory); less by what a
            read takes zeros for, as `Regional(zeroed=True)` does.
        frame_numbers: Of the frame in each slot, -1 where there is none.
        pinned: The first so many slots are pinned frames, whose numbers are those that they were
            pinned by.
        position: Row and column of the query position, in `weights`' rows and columns.
        frame_box: Left, top, right and bottom of a frame in `weights`' columns and rows: what is
            outside of it is padding.
        object_ids: Of the objects, in `weights`' order, where an `Annotator` tells them.
    """

    weights: Float[np.ndarray, "objects slots h16 w16"]
    frame_numbers: Int[np.ndarray, " slots"]
    position: tuple[int, int]
    frame_box: tuple[float, float, float, float]
    pinned: int = 0
    object_ids: tuple[int, ...] = ()


def look(
    recipe: Recipe,
    variables: Variables,
    state: VideoState,
    frame: UInt8[np.ndarray, "h w 3"],
    row: int,
    column: int,
) -> Attention:
    """Returns where the read of a pixel goes if the frame is segmented next.

    The weights are the gradient of what is read at the pixel's position with respect to the
    memory values, for a read is a weighted sum of them: exact for every read that has a gradient.

    Args:
        recipe: Of the stream.
        variables: Of the network.
        state: Of the stream, before the frame; it is left as it is.
        frame: Of the size of the frames before.
        row: Of the pixel, from 0 at the top.
        column: Of the pixel, from 0 at the left.

    Raises:
        InputError: There is no such pixel, the frame is of another size than the last, or the
            memory does not hold whole frames, or what windows showed of them.
    """
    if recipe.zoom:
        raise InputError("attention is shown over whole frames: leave the zoom out")
    height, width = frame.shape[:2]
    if frame.shape != state.frame.shape:
        other = f"{state.frame.shape[1]}x{state.frame.shape[0]}"
        raise InputError(f"a frame of {width}x{height} in a video of {other}; resize it")
    if not (0 <= row < height and 0 <= column < width):
        raise InputError(
            f"there is no pixel at row {row}, column {column}: the frame has rows 0 to "
            f"{height - 1} and columns 0 to {width - 1}"
        )
    bank, pinned = state.bank, 0
    if isinstance(bank, PinnedState):
        bank, pinned = bank.own, len(bank.frames.frame_numbers)
    if not isinstance(bank, MemoryBank | ObjectFrames):
        raise InputError(
            f"the elements of {type(recipe.memory).__name__} belong to no frame, so there is "
            "nothing to show them on: use a rule that keeps whole frames"
        )
    size = recipe.working_size(height, width)
    padding = padding_to_stride(*size)
    scale = size[0] / height, size[1] / width
    position = (
        int((row + 0.5) * scale[0] + padding.top) // STRIDE,
        int((column + 0.5) * scale[1] + padding.left) // STRIDE,
    )
    found = _weights(recipe, variables, state, frame, np.array(position, np.int32))
    weights, frame_numbers = map(np.asarray, found)
    present = np.asarray(state.present)
    weights = weights[present]
    if isinstance(bank, ObjectFrames):
        weights, frame_numbers = _by_frame(weights, frame_numbers[present], pinned)
    return Attention(
        weights=weights,
        frame_numbers=frame_numbers,
        position=position,
        frame_box=(
            padding.left / STRIDE,
            padding.top / STRIDE,
            (padding.left + size[1]) / STRIDE,
            (padding.top + size[0]) / STRIDE,
        ),
        pinned=pinned,
    )


@functools.partial(jax.jit, static_argnames="recipe")
def _weights(
    recipe: Recipe,
    variables: Variables,
    state: VideoState,
    frame: UInt8[Array, "h w 3"],
    position: Int[Array, "2"],
) -> tuple[Float[Array, "objects slots h16 w16"], Int[Array, "*objects slots"]]:
    bank = remembered(recipe, variables, state)
    asked, _ = recipe.queried(variables, recipe.prepared(frame))
    # `Slots` has no gradient. This reads the same, and as it does in bounded memory.
    read = Chunked() if recipe.read in (None, Slots()) else recipe.read

    def of_object(
        item: tuple[MemoryView, Bool[Array, "h16 w16"]],
    ) -> Float[Array, "slots h16 w16 1"]:
        memory, expected = view_of(recipe.network, item[0]), item[1]

        def read_there(values: Float[Array, "slots h16 w16 1"]) -> Float[Array, ""]:
            answer = read(asked.key[0], memory._replace(values=values), expected)
            return answer.values[position[0], position[1], 0]

        # float32 and one channel, whatever the memory has: each is weighted alike.
        return jax.grad(read_there)(jnp.zeros((*memory.keys.shape[:3], 1)))

    expected = object_positions(state.padded_masks)
    weights = jax.lax.map(of_object, (recipe.memory.view(bank), expected))
    if not isinstance(bank, PinnedState):
        return weights[..., 0], bank.frame_numbers
    of_pinned, own = bank.frames.frame_numbers, bank.own.frame_numbers
    of_pinned = jnp.broadcast_to(of_pinned, (*own.shape[:-1], *of_pinned.shape))
    return weights[..., 0], jnp.concatenate([of_pinned, own], axis=-1)


def _by_frame(
    weights: Float[np.ndarray, "objects slots h16 w16"],
    frame_numbers: Int[np.ndarray, "objects slots"],
    pinned: int,
) -> tuple[Float[np.ndarray, "objects frames h16 w16"], Int[np.ndarray, " frames"]]:
    """Returns weights and numbers with a slot for each frame that any object has, ascending.

    The pinned frames, which all objects have in the same slots, stay where they are.
    """
    own = frame_numbers[:, pinned:]
    frames = np.unique(own[own != EMPTY])
    found = np.zeros((len(weights), len(frames), *weights.shape[2:]), weights.dtype)
    for index, slot in np.argwhere(own != EMPTY):
        place = np.searchsorted(frames, own[index, slot])
        found[index, place] = weights[index, pinned + slot]
    together = np.concatenate([weights[:, :pinned], found], axis=1)
    return together, np.concatenate([frame_numbers[0, :pinned], frames])
