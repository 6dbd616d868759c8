"""What a memory is: a frozen dataclass of knobs, with pure functions over a state of arrays.

`FrameRule` (stm_jax.memory.frame_rule) makes a memory of frames out of one decision; the stores
(stm_jax.memory.stores) are memories of single positions.
"""

import abc
from typing import Generic, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.errors import InputError
from stm_jax.ops.padding import STRIDE
from stm_jax.ops.regions import corners, object_positions
from stm_jax.reads.protocol import MemoryView, Read

EMPTY = -1
"""The frame number of a slot that holds no frame."""

State = TypeVar("State")
"""A memory's state: a pytree of arrays whose shapes never change but for room for more objects."""


@flax.struct.dataclass
class Candidate:
    """A frame with its masks, as the memory is offered it.

    Attributes:
        key: Of each object.
        value: Of each object.
        masks: The mean of its soft mask in each position's cell.
        region: Whether its mask reaches 0.5 anywhere in a position's cell.
        certainty: Mean probability of each object over the pixels above 0.5; 0 without any.
        area: How many such pixels there are.
        box: Top, left, bottom and right of them, the last two behind the last; 0 without.
        frame_number: The first frame is 0.
        present: Which objects are real; the others are padding.
        given: Whether a mask of this frame was given by the user.
        length: Frames of the whole video; 0 if that is not known.
    """

    key: Float[Array, "objects h16 w16 key"]
    value: Float[Array, "objects h16 w16 value"]
    masks: Float[Array, "objects h16 w16"]
    region: Bool[Array, "objects h16 w16"]
    certainty: Float[Array, " objects"]
    area: Int[Array, " objects"]
    box: Float[Array, "objects 4"]
    frame_number: Int[Array, ""]
    present: Bool[Array, " objects"]
    given: Bool[Array, ""]
    length: Int[Array, ""]


class Memory(abc.ABC, Generic[State]):
    """What every memory can do. It is hashable and static under `jit`; its state is not.

    Attributes:
        counts_usage: Whether `used` is to be told the attention mass of every read.
        needs_length: Whether it must know how long the video is before it begins.
        own_read: The one read that it is read by, which is given the view as it is; None where any
            read can, which is given what the network's similarity makes of the view's keys.
    """

    counts_usage = False
    needs_length = False
    own_read: Read | None = None

    @abc.abstractmethod
    def slots_for(self, frames: int | None) -> int | None:
        """Returns how much room a video of so many frames needs, in the memory's own unit.

        None asks for any length, and is answered by None where that has no bound.
        """

    @abc.abstractmethod
    def empty(
        self,
        objects: int,
        slots: int,
        feature_size: tuple[int, int],
        channels: tuple[int, int],
        dtype: jax.typing.DTypeLike,
    ) -> State:
        """Returns the state with nothing in it. Nothing is compiled to make it.

        Args:
            objects: How many objects it has room for.
            slots: How much it has room for, as `slots_for` counts.
            feature_size: Rows and columns at stride 16.
            channels: Of a key and of a value.
            dtype: Of keys and values.
        """

    def may_write(self, state: State, given: Bool[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns whether the next frame may be written; if not, it is not even encoded.

        Told only what is known before: whether its mask was given. True where more must be seen.
        """
        del state, given
        return True

    @abc.abstractmethod
    def write(self, state: State, candidate: Candidate) -> State:
        """Offers a frame to the memory: what becomes of it is the memory's affair."""

    @abc.abstractmethod
    def view(self, state: State) -> MemoryView:
        """Returns what the reads see, of all objects."""

    def view_beside(self, state: State, frames: MemoryView) -> MemoryView:
        """Returns what the reads see of further frames and, after them, of the memory.

        In this order, for `Slots` reads up to the last filled slot. Where the memory's slots are
        elements, those of a frame are its positions.
        """
        own = self.view(state)
        if own.keys.shape[2:4] == (1, 1):
            frames = in_elements(frames)

        def joined(of_frames: Array, of_memory: Array) -> Array:
            return jnp.concatenate([of_frames, of_memory], axis=1)

        region = None
        if own.region is not None and frames.region is not None:
            region = joined(frames.region, own.region)
        return MemoryView(
            keys=joined(frames.keys, own.keys),
            values=joined(frames.values, own.values),
            filled=joined(frames.filled, own.filled),
            region=region,
        )

    def used(self, state: State, mass: Float[Array, "objects slots mh mw"]) -> State:
        """Takes note of the attention mass that each position of the view received."""
        del mass
        return state

    @abc.abstractmethod
    def grown(self, state: State, objects: int) -> State:
        """Returns the state with room for so many objects; the new ones have nothing in it."""

    def staying(self, state: State) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the frames that are kept whole, -1 for none; not under `jit`."""
        del state
        return np.zeros((0,), np.int32)


def check_read(memory: Memory, read: Read | None) -> None:
    """Raises InputError if the memory cannot be read so; None is its default."""
    if read is not None and memory.own_read is not None:
        name = type(memory).__name__
        raise InputError(f"{name} is read by a read of its own, not by {read}: leave the read out")


def candidate_of(
    key: Float[Array, "objects h16 w16 key"],
    value: Float[Array, "objects h16 w16 value"],
    masks: Float[Array, "objects h w"],
    frame_number: Int[Array, ""],
    present: Bool[Array, " objects"],
    given: Bool[Array, ""],
    length: Int[Array, ""],
) -> Candidate:
    """Returns what a memory is offered, for soft masks whose sides are multiples of 16."""
    objects, height, width = masks.shape
    cells = masks.reshape(objects, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    inside = masks > 0.5
    count = inside.sum(axis=(1, 2))
    certainty = jnp.where(inside, masks, 0.0).sum(axis=(1, 2)) / jnp.maximum(count, 1)
    return Candidate(
        key=key,
        value=value,
        masks=cells.mean(axis=(2, 4)),
        region=object_positions(masks),
        certainty=certainty,
        area=count,
        box=corners(inside),
        frame_number=frame_number,
        present=present,
        given=given,
        length=length,
    )


def in_elements(frames: MemoryView) -> MemoryView:
    """Returns a view of all objects' frames with a slot for every position of theirs."""
    keys, values, filled, region = frames
    objects, _, height, width, _ = keys.shape

    def flat(array: Array) -> Array:
        return array.reshape(objects, -1, 1, 1, array.shape[-1])

    return MemoryView(
        keys=flat(keys),
        values=flat(values),
        filled=filled.repeat(height * width, axis=1),
        region=None if region is None else flat(region[..., None])[..., 0],
    )


def filled_with(number: float, shape: tuple[int, ...], dtype: jax.typing.DTypeLike) -> jax.Array:
    """Returns an array of one number. NumPy makes it: jnp.full compiles a program a shape."""
    return jax.device_put(np.full(shape, number, jnp.dtype(dtype)))
