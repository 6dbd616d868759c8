"""What rules share that decide for every object by itself: slots that are the object's own.

With a `FrameRule` a frame stays for all objects or for none. Rules of methods that follow one
object at a time, and look at its mask to decide, are frozen dataclasses on top of `ObjectRule`.
"""

import abc
import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from stm_jax.memory.frame_rule import NEVER
from stm_jax.memory.protocol import EMPTY, Candidate, Memory, filled_with
from stm_jax.reads.protocol import MemoryView

FREE, FIRST, LATEST = 0, 1, 2
"""What a slot holds: nothing, the object's first frame, one that is there until the next comes.

A rule numbers what else it tells apart from 3 on.
"""


@flax.struct.dataclass
class ObjectFrames:
    """Slots of frames, each object's own: what one remembers says nothing of the others.

    Attributes:
        keys: [objects, slots, h16, w16, key channels].
        values: [objects, slots, h16, w16, value channels]; zeros where empty, always finite.
        region: [objects, slots, h16, w16]; where the object was in that frame.
        frame_numbers: [objects, slots]; -1 where empty.
        kinds: [objects, slots]; what the rule takes the frame for, `FREE` where empty.
        notes: What the rule keeps of each object besides, [objects, ...]; zeros at first.
    """

    keys: Float[Array, "objects slots h16 w16 key"]
    values: Float[Array, "objects slots h16 w16 value"]
    region: Bool[Array, "objects slots h16 w16"]
    frame_numbers: Int[Array, "objects slots"]
    kinds: Int[Array, "objects slots"]
    notes: PyTree[Array]


@dataclasses.dataclass(frozen=True)
class Sight:
    """What one object's mask in a frame looks like.

    Attributes:
        masks: The mean of its soft mask in each position's cell.
        certainty: Its mean probability over the pixels above 0.5; 0 without any.
        area: How many such pixels there are.
        box: Top, left, bottom and right of them, the last two behind the last; 0 without.
        frame_number: The video's first frame is 0.
    """

    masks: Float[Array, "h16 w16"]
    certainty: Float[Array, ""]
    area: Int[Array, ""]
    box: Float[Array, " 4"]
    frame_number: Int[Array, ""]

    @property
    def seen(self) -> Bool[Array, ""]:
        """Whether there is a pixel above 0.5."""
        return self.certainty > 0


@dataclasses.dataclass(frozen=True)
class Kept:
    """What one object's slots hold.

    Attributes:
        frame_numbers: -1 where empty.
        kinds: `FREE` where empty.
    """

    frame_numbers: Int[Array, " slots"]
    kinds: Int[Array, " slots"]

    @property
    def nothing(self) -> Bool[Array, ""]:
        """Whether the object has no frame in memory yet."""
        return (self.kinds == FREE).all()

    def are(self, *kinds: int) -> Bool[Array, " slots"]:
        """Returns which slots hold a frame of one of the kinds."""
        return jnp.isin(self.kinds, jnp.array(kinds))

    def oldest(self, *kinds: int) -> Bool[Array, " slots"]:
        """Returns which slot holds the oldest frame of the kinds, if there is one."""
        numbers = jnp.where(self.are(*kinds), self.frame_numbers, NEVER)
        return (numbers == numbers.min()) & (numbers != NEVER)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What becomes of a frame in one object's memory.

    Attributes:
        kind: What it is taken for; `FREE` if it is not taken.
        dropped: Which slots are emptied before; one of the rule's `frames` slots is free then.
        notes: What the rule keeps of the object from now on.
    """

    kind: Int[Array, ""] | int
    dropped: Bool[Array, " slots"]
    notes: PyTree[Array]


class ObjectRule(Memory[ObjectFrames]):
    """A memory of whole frames that decides for every object by itself.

    An object's first frame is permanent. Slots beyond `frames` are never taken.

    Attributes:
        frames: How many an object has in memory at most, the first included.
    """

    frames: int

    @abc.abstractmethod
    def notes(self) -> Any:
        """Returns the shapes and dtypes of what is kept of an object besides frames."""

    def making_room(
        self, kept: Kept, dropped: Bool[Array, " slots"], *kinds: int
    ) -> Bool[Array, " slots"]:
        """Returns what is dropped to have a free slot: also the oldest of the kinds, if need be."""
        left = Kept(kept.frame_numbers, jnp.where(dropped, FREE, kept.kinds))
        room = min(self.frames, kept.kinds.shape[0])
        full = (left.kinds != FREE).sum() >= room
        return dropped | (full & left.oldest(*kinds))

    @abc.abstractmethod
    def decide(self, kept: Kept, notes: Any, sight: Sight) -> Choice:
        """Decides for one object, which is there.

        A pure function of arrays with static shapes. Of its first frame the notes alone count.
        """

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many slots an object has; less for a short video."""
        return self.frames if frames is None else min(self.frames, max(frames - 1, 1))

    def empty(self, objects, slots, feature_size, channels, dtype) -> ObjectFrames:
        """Returns empty slots and notes of zeros."""
        shape = (objects, slots, *feature_size)
        return ObjectFrames(
            keys=filled_with(0, (*shape, channels[0]), dtype),
            values=filled_with(0, (*shape, channels[1]), dtype),
            region=filled_with(False, shape, bool),
            frame_numbers=filled_with(EMPTY, (objects, slots), jnp.int32),
            kinds=filled_with(FREE, (objects, slots), jnp.int32),
            notes=jax.tree.map(
                lambda like: filled_with(0, (objects, *like.shape), like.dtype), self.notes()
            ),
        )

    def view(self, state: ObjectFrames) -> MemoryView:
        """Returns each object's frames."""
        return MemoryView(state.keys, state.values, state.kinds != FREE, state.region)

    def write(self, state: ObjectFrames, candidate: Candidate) -> ObjectFrames:
        """Does for each object that is there what the rule decides."""
        slots = state.kinds.shape[1]

        def of_object(numbers, kinds, notes, masks, certainty, area, box, present):
            kept = Kept(numbers, kinds)
            sight = Sight(masks, certainty, area, box, candidate.frame_number)
            choice = self.decide(kept, notes, sight)
            kind = jnp.where(kept.nothing, FIRST, choice.kind)
            kinds = jnp.where(choice.dropped & present, FREE, kinds)
            numbers = jnp.where(kinds == FREE, EMPTY, numbers)
            free = (kinds == FREE) & (jnp.arange(slots) < self.frames)
            slot = jnp.where(present & (kind != FREE), jnp.argmax(free), slots)
            return (
                slot,
                numbers.at[slot].set(candidate.frame_number, mode="drop"),
                kinds.at[slot].set(kind, mode="drop"),
                jax.tree.map(lambda new, old: jnp.where(present, new, old), choice.notes, notes),
            )

        slot, numbers, kinds, notes = jax.vmap(of_object)(
            state.frame_numbers,
            state.kinds,
            state.notes,
            candidate.masks,
            candidate.certainty,
            candidate.area,
            candidate.box,
            candidate.present,
        )

        def put(array: Array, item: Array) -> Array:
            at = jnp.arange(array.shape[0])
            return array.at[at, slot].set(item.astype(array.dtype), mode="drop")

        return ObjectFrames(
            keys=put(state.keys, candidate.key),
            values=put(state.values, candidate.value),
            region=put(state.region, candidate.region),
            frame_numbers=numbers,
            kinds=kinds,
            notes=notes,
        )

    def grown(self, state: ObjectFrames, objects: int) -> ObjectFrames:
        """Returns room for more objects; those have nothing in memory yet."""
        more = objects - state.kinds.shape[0]

        def grown(leaf: Array) -> Array:
            return jnp.pad(leaf, [(0, more)] + [(0, 0)] * (leaf.ndim - 1))

        numbers = jnp.pad(state.frame_numbers, [(0, more), (0, 0)], constant_values=EMPTY)
        return dataclasses.replace(jax.tree.map(grown, state), frame_numbers=numbers)

    def staying(self, state: ObjectFrames) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the frames that stay for any object."""
        kinds = np.asarray(state.kinds)
        return np.unique(np.asarray(state.frame_numbers)[(kinds != FREE) & (kinds != LATEST)])
