"""Frames that no rule may drop, beside any memory."""

import dataclasses

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from stm_jax.memory.bank import Decision, MemoryBank, empty_bank, room_for_objects, write
from stm_jax.memory.protocol import EMPTY, Candidate, Memory
from stm_jax.reads.protocol import MemoryView, Read

PLACES = (2, 4, 8, 16, 32, 64, 128, 256)
"""How many frames there may be room for, so that few programs are compiled."""


@flax.struct.dataclass
class PinnedState:
    """What a memory holds, and the pinned frames.

    Attributes:
        own: The memory's state.
        frames: The pinned frames; their numbers are whoever pinned them's.
    """

    own: PyTree[Array]
    frames: MemoryBank


@dataclasses.dataclass(frozen=True)
class Pinned(Memory[PinnedState]):
    """Any memory, and beside it frames that stay until they are let go by name.

    The permanent memory of XMem++ (Bekuzarov et al., ICCV 2023) for whatever rule or store: what
    it decides about the frames of the stream is as without the pinned ones, which it does not see.
    The reads see both. `Segmenter.pin` makes one; it is in no list of rules.

    Attributes:
        memory: What decides about the frames of the stream.
        places: Room for so many pinned frames.
    """

    memory: Memory
    places: int

    @property
    def counts_usage(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the memory is to be told the attention mass."""
        return self.memory.counts_usage

    @property
    def needs_length(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the memory must know the length."""
        return self.memory.needs_length

    @property
    def own_read(self) -> Read | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The one read that the memory is read by."""
        return self.memory.own_read

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the memory's own room."""
        return self.memory.slots_for(frames)

    def empty(self, objects, slots, feature_size, channels, dtype) -> PinnedState:
        """Returns the memory with nothing in it, and no frame pinned."""
        own = self.memory.empty(objects, slots, feature_size, channels, dtype)
        return PinnedState(own, self.no_frames(objects, feature_size, channels, dtype))

    def no_frames(self, objects, feature_size, channels, dtype) -> MemoryBank:
        """Returns room for the pinned frames; arguments are those of `empty`."""
        return empty_bank((objects, self.places, *feature_size), channels, dtype)

    def may_write(self, state: PinnedState, given: Bool[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns what the memory says."""
        return self.memory.may_write(state.own, given)

    def write(self, state: PinnedState, candidate: Candidate) -> PinnedState:
        """Offers the frame to the memory."""
        return dataclasses.replace(state, own=self.memory.write(state.own, candidate))

    def view(self, state: PinnedState) -> MemoryView:
        """Returns the pinned frames, and after them what the memory shows."""
        frames = state.frames
        view = MemoryView(frames.keys, frames.values, frames.filled, frames.region)
        return self.memory.view_beside(state.own, view)

    def used(self, state: PinnedState, mass: Float[Array, "objects slots mh mw"]) -> PinnedState:
        """Tells the memory of the mass that its own slots received."""
        slots = self.memory.view(state.own).filled.shape[1]
        return dataclasses.replace(state, own=self.memory.used(state.own, mass[:, -slots:]))

    def grown(self, state: PinnedState, objects: int) -> PinnedState:
        """Returns both with room for more objects."""
        own = self.memory.grown(state.own, objects)
        return PinnedState(own, room_for_objects(state.frames, objects))

    def staying(self, state: PinnedState) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the frames of the stream that the memory keeps."""
        return self.memory.staying(state.own)


def put(frames: MemoryBank, candidate: Candidate) -> MemoryBank:
    """Returns the pinned frames with this one, in the place of one of its number or a free one."""
    same = frames.frame_numbers == candidate.frame_number
    place = jnp.where(same.any(), jnp.argmax(same), jnp.argmax(frames.frame_numbers == EMPTY))
    return write(frames, Decision(place, jnp.zeros_like(same), permanent=True), candidate)
