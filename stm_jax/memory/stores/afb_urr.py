"""AFB-URR's adaptive feature bank: new elements are merged into those they are like."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.errors import InputError
from stm_jax.memory.protocol import Candidate, Memory
from stm_jax.memory.stores.elements import (
    Elements,
    cosines,
    flat,
    no_elements,
    room_for_more,
    unit,
    view_of,
)
from stm_jax.reads.protocol import MemoryView


@dataclasses.dataclass(frozen=True)
class AfbUrr(Memory[Elements]):
    """Every frame: positions like one in the bank are merged into it, the least used make room.

    Liang, Li, Jafari and Chen, "Video Object Segmentation with Adaptive Feature Bank and
    Uncertain-Region Refinement" (AFB-URR), NeurIPS 2020, section 3.2. Every frame is absorbed.
    An object's first frame is taken as it is. Later, each new element goes to the element in the
    bank with the closest key: where the cosine is above `threshold`, it is merged by a moving
    average, else it is added. As in the published code, direction and length are kept apart: the
    old direction is blended with the mean direction of all new elements that came to it, values
    likewise, and the old length stays. To make room, the elements used least are removed:
    usage is summed over reads as log(1 + m), and divided by the frames since it came.

    Unlike in the authors' code: m is the attention mass that the element received, not the
    number of query positions that gave it more than 0.001, for a read reports masses; just as
    many are removed as must be, where theirs removes all below a rising threshold; and the budget
    is each object's, where theirs is 300000 over the number of objects and the background, of
    which it takes 0.8 for one object: 120000. Nothing is permanent.
    With a threshold of 1 and room for all, every position of every frame is in memory, as with
    `EveryNth(1)`.

    Source: AFB-URR (NeurIPS 2020).

    Attributes:
        threshold: The cosine above which elements are merged (0.95).
        rate: The share of the new in a merged element (0.1).
        elements: The most that the bank holds of an object; at least the positions of a frame.
    """

    threshold: float = 0.95
    rate: float = 0.1
    elements: int = 20_000
    counts_usage = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of a moving average is within 0 and 1, not {self.rate}")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"the threshold of a cosine is from -1 to 1, not {self.threshold}")
        if self.elements < 1:
            raise ValueError(f"the bank must have room for elements, not for {self.elements}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many elements there is room for."""
        return self.elements

    def empty(self, objects, slots, feature_size, channels, dtype) -> Elements:
        """Returns an empty bank; `age` is the number of the frame that an element came with.

        Raises:
            InputError: A frame has more positions than the bank has room for elements.
        """
        positions = feature_size[0] * feature_size[1]
        if self.elements < positions:
            raise InputError(
                f"a frame has {positions} positions and the bank room for {self.elements} "
                f"elements: give elements={positions} at least, or segment at a smaller size"
            )
        return no_elements(objects, self.elements, channels, dtype)

    def view(self, state: Elements) -> MemoryView:
        """Returns all elements."""
        return view_of(state)

    def used(self, state: Elements, mass: Float[Array, "objects slots 1 1"]) -> Elements:
        """Adds log(1 + mass) to the usage."""
        more = jnp.where(state.filled, jnp.log1p(mass[:, :, 0, 0]), 0.0)
        return dataclasses.replace(state, usage=state.usage + more)

    def grown(self, state: Elements, objects: int) -> Elements:
        """Returns the bank with room for more objects."""
        return jax.tree.map(lambda leaf: room_for_more(leaf, objects), state)

    def write(self, state: Elements, candidate: Candidate) -> Elements:
        """Merges and adds the elements of the frame."""

        def of_object(item: tuple[Elements, Array, Array, Array]) -> Elements:
            elements, key, value, present = item
            return self._absorb(elements, key, value, present, candidate.frame_number)

        # One object after the other: the cosines of all with all are large.
        objects = (state, flat(candidate.key), flat(candidate.value), candidate.present)
        return jax.lax.map(of_object, objects)

    def _absorb(
        self,
        old: Elements,
        key: Float[Array, "new key"],
        value: Float[Array, "new value"],
        present: Bool[Array, ""],
        frame_number: Int[Array, ""],
    ) -> Elements:
        """Merges and adds the elements of one object."""
        alike = jnp.where(old.filled[:, None], cosines(old.keys, key), -jnp.inf)
        nearest = alike.argmax(axis=0)
        close = (alike.max(axis=0) > self.threshold) & present
        count = jnp.zeros(old.filled.shape).at[nearest].add(close)

        def blend(stored: Array, new: Array) -> Array:
            stored_32 = stored.astype(jnp.float32)
            length = jnp.linalg.norm(stored_32, axis=-1, keepdims=True)
            came = jnp.where(close[:, None], unit(new), 0.0)
            mean = jnp.zeros(stored_32.shape).at[nearest].add(came)
            mean = mean / jnp.maximum(count, 1)[:, None]
            blended = length * ((1 - self.rate) * unit(stored) + self.rate * mean)
            return jnp.where(count[:, None] > 0, blended.astype(stored.dtype), stored)

        added = ~close & present
        lifetime = jnp.maximum(frame_number - old.age, 1)
        order = jnp.argsort(jnp.where(old.filled, old.usage / lifetime, -1.0))
        nowhere = old.filled.shape[0]
        places = jnp.where(added, order[jnp.cumsum(added) - 1], nowhere)

        def put(array: Array, item: Array) -> Array:
            return array.at[places].set(item.astype(array.dtype), mode="drop")

        return Elements(
            keys=put(blend(old.keys, key), key),
            values=put(blend(old.values, value), value),
            filled=put(old.filled, jnp.ones((), bool)),
            usage=put(old.usage, jnp.zeros(())),
            age=put(old.age, frame_number),
        )
