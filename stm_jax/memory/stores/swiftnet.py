"""SwiftNet's sparse writing: of a frame, only the positions least like the memory are kept."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from stm_jax.memory.protocol import EMPTY, Candidate, Memory, filled_with
from stm_jax.memory.stores.elements import (
    Elements,
    cosines,
    flat,
    no_elements,
    room_for_more,
    view_of,
)
from stm_jax.reads.protocol import MemoryView


@flax.struct.dataclass
class SwiftNetState:
    """The previous frame whole, an object's first frame whole, and shares of later ones.

    Attributes:
        elements: In this order, those of the previous frame, the first frame, and the updates.
        updates: [objects]; how many updates there have been.
        frame_number: Of the previous frame; -1 for none.
    """

    elements: Elements
    updates: Int[Array, " objects"]
    frame_number: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class SwiftNet(Memory[SwiftNetState]):
    """First and previous frame whole; of every n-th the positions that the store is least like.

    Wang et al., "SwiftNet: Real-time Video Object Segmentation", CVPR 2021, section 3.2
    (pixel-wise memory update), with the published code's numbers. The previous frame is in
    memory whole. When the next comes, and it was the n-th frame's turn, those of its positions
    whose key has the lowest cosine with its nearest key in the store are added to it: of N
    positions N - floor(N (1 - share)). The first frame is stored whole, and for ever.

    As in the authors' published code, and unlike in the paper, updates come every n-th frame:
    the paper's trigger, by differences of pixels and masks, is not in it. Unlike there, the store
    has room for a fixed number of updates, of which the oldest gives way; and an object that
    appears later has its own first frame stored whole. With a share of 1 and room for all this
    is `EveryNth`.

    Source: SwiftNet (CVPR 2021).

    Attributes:
        every: Every how many frames a frame is added to the store (5).
        share: Of the positions of a frame (0.1).
        updates: Room for so many, besides the first frame.
    """

    every: int = 5
    share: float = 0.1
    updates: int = 100

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")
        if not 0 < self.share <= 1:
            raise ValueError(f"the share of the positions must be above 0, up to 1: {self.share}")
        if self.updates < 1:
            raise ValueError(f"there must be room for 1 update at least, not {self.updates}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many updates a video of this length makes."""
        if frames is None:
            return self.updates
        return min(self.updates, -(-max(frames - 1, 1) // self.every))

    def empty(self, objects, slots, feature_size, channels, dtype) -> SwiftNetState:
        """Returns an empty store, with room for so many `slots` of updates."""
        positions = feature_size[0] * feature_size[1]
        count = 2 * positions + min(slots, self.updates) * self._added(positions)
        return SwiftNetState(
            elements=no_elements(objects, count, channels, dtype),
            updates=filled_with(0, (objects,), jnp.int32),
            frame_number=filled_with(EMPTY, (), jnp.int32),
        )

    def view(self, state: SwiftNetState) -> MemoryView:
        """Returns the previous frame and the store."""
        return view_of(state.elements)

    def grown(self, state: SwiftNetState, objects: int) -> SwiftNetState:
        """Returns the store with room for more objects."""
        elements = jax.tree.map(lambda leaf: room_for_more(leaf, objects), state.elements)
        updates = room_for_more(state.updates, objects)
        return dataclasses.replace(state, elements=elements, updates=updates)

    def write(self, state: SwiftNetState, candidate: Candidate) -> SwiftNetState:
        """Adds of the frame before to the store, and puts this one in its place."""
        positions = candidate.key.shape[1] * candidate.key.shape[2]
        turn = (state.frame_number != EMPTY) & (state.frame_number % self.every == 0)
        here, first = state.elements.filled[:, 0], state.elements.filled[:, positions]

        def of_object(item: tuple[Elements, Array]) -> tuple[Elements, Array]:
            elements, updates = item
            return self._add(elements, updates, turn, positions)

        elements, updates = jax.lax.cond(
            (here & (turn | ~first)).any(),
            lambda stores: jax.lax.map(of_object, stores),
            lambda stores: stores,
            (state.elements, state.updates),
        )
        count = elements.filled.shape[1]
        present = jnp.where(
            jnp.arange(count) < positions, candidate.present[:, None], elements.filled
        )
        elements = dataclasses.replace(
            elements,
            keys=_put(elements.keys, flat(candidate.key), 0, 1),
            values=_put(elements.values, flat(candidate.value), 0, 1),
            filled=present,
        )
        return SwiftNetState(elements, updates, candidate.frame_number)

    def _added(self, positions: int) -> int:
        """Returns how many positions of a frame an update adds."""
        return positions - int(positions * (1 - self.share))

    def _add(
        self, elements: Elements, updates: Int[Array, ""], turn: Bool[Array, ""], positions: int
    ) -> tuple[Elements, Int[Array, ""]]:
        """Adds of the previous frame to the store of one object."""
        added = self._added(positions)
        room = (elements.filled.shape[0] - 2 * positions) // added
        key, value = elements.keys[:positions], elements.values[:positions]
        here, first = elements.filled[0], elements.filled[positions]
        stored = elements.filled[positions:]
        alike = jnp.where(stored, cosines(key, elements.keys[positions:]), -jnp.inf).max(axis=1)
        # In reading order, so that all of them are all of the frame.
        least = jnp.sort(jnp.argsort(alike)[:added])
        start = 2 * positions + (updates % room) * added

        def put(array: Array, whole: Array, part: Array) -> Array:
            as_first = _put(array, whole, positions, 0)
            as_update = _put(array, part, start, 0)
            grown = jnp.where(turn & first, as_update, array)
            return jnp.where(here, jnp.where(first, grown, as_first), array)

        filled = jnp.ones((positions,), bool)
        new = dataclasses.replace(
            elements,
            keys=put(elements.keys, key, key[least]),
            values=put(elements.values, value, value[least]),
            filled=put(elements.filled, filled, filled[:added]),
        )
        return new, updates + (here & first & turn)


def _put(array: Array, item: Array, start: Int[Array, ""] | int, axis: int) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(array, item.astype(array.dtype), start, axis)
