"""What a memory is: a frozen dataclass of knobs, with pure functions over a state of arrays.

`FrameRule` (stm_jax.memory.frame_rule) makes a memory of frames out of one decision; the element
stores (`xmem`, `afb_urr`, `swiftnet`) are memories of single positions.
"""

from typing import Any, NamedTuple, Protocol, TypeAlias

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.ops.padding import STRIDE
from stm_jax.ops.regions import object_positions

EMPTY = -1
"""The frame number of a slot that holds no frame."""

Device: TypeAlias = Any
"""A `jax.Device`; pyright takes that for a variable, so it cannot stand in an annotation."""

MemoryState: TypeAlias = Any
"""A pytree of arrays whose shapes never change but for room for more objects."""


@flax.struct.dataclass
class Candidate:
    """A frame with its masks, as the memory is offered it.

    Attributes:
        key: Of each object.
        value: Of each object.
        masks: The mean of its soft mask in each position's cell.
        region: Whether its mask reaches 0.5 anywhere in a position's cell.
        certainty: Mean probability of each object over the pixels above 0.5; 0 without any.
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
    frame_number: Int[Array, ""]
    present: Bool[Array, " objects"]
    given: Bool[Array, ""]
    length: Int[Array, ""]


class MemoryView(NamedTuple):
    """What the reads see of a memory.

    Attributes:
        keys: [objects, slots, mh, mw, key]; a slot is a frame, or a single element (mh = mw = 1).
        values: [objects, slots, mh, mw, value].
        filled: [objects, slots].
        region: [objects, slots, mh, mw]; where the object was in that frame.
    """

    keys: Float[Array, "objects slots mh mw key"]
    values: Float[Array, "objects slots mh mw value"]
    filled: Bool[Array, "objects slots"]
    region: Bool[Array, "objects slots mh mw"]


class Memory(Protocol):
    """What every memory can do. It is hashable and static under `jit`; its state is not."""

    @property
    def counts_usage(self) -> bool:
        """Whether `used` is to be told the attention mass of every read."""
        ...

    @property
    def needs_length(self) -> bool:
        """Whether it must know how long the video is before it begins."""
        ...

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how much room a video of so many frames needs, in the memory's own unit.

        None asks for any length, and is answered by None where that has no bound.
        """
        ...

    def empty(
        self,
        objects: int,
        slots: int,
        feature_size: tuple[int, int],
        channels: tuple[int, int],
        dtype: jax.typing.DTypeLike,
        device: Device | None = None,
    ) -> MemoryState:
        """Returns the state with nothing in it; see `bank.empty_bank`."""
        ...

    def may_write(self, state: MemoryState, given: Bool[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns whether the next frame may be written; if not, it is not even encoded.

        Told only what is known before: whether its mask was given. True where more must be seen.
        """
        ...

    def write(self, state: MemoryState, candidate: Candidate) -> MemoryState:
        """Offers a frame to the memory: what becomes of it is the memory's affair."""
        ...

    def view(self, state: MemoryState) -> MemoryView:
        """Returns what the reads see."""
        ...

    def used(self, state: MemoryState, mass: Float[Array, "objects slots mh mw"]) -> MemoryState:
        """Takes note of the attention mass that each position of the view received."""
        ...

    def grown(self, state: MemoryState, objects: int) -> MemoryState:
        """Returns the state with room for so many objects; the new ones have nothing in it."""
        ...

    def staying(self, state: MemoryState) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the frames that are kept whole, -1 for none; not under `jit`."""
        ...


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
        frame_number=frame_number,
        present=present,
        given=given,
        length=length,
    )


def filled_with(
    number: float, shape: tuple[int, ...], dtype: jax.typing.DTypeLike, device: Device | None
) -> jax.Array:
    """Returns an array of one number. NumPy makes it: jnp.full compiles a program a shape."""
    return jax.device_put(np.full(shape, number, jnp.dtype(dtype)), device)
