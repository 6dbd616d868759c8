"""What the update rules of frames share: a bank, a slot for the previous frame, a budget.

A rule of one's own is a frozen dataclass on top of `FrameRule` with a `decide`; on top of
`BudgetRule` it need only say which frames stay and which gives way, on top of `EveryRule`, where
every n-th stays, which gives way.
"""

import abc
import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from stm_jax.memory.bank import Decision, MemoryBank, empty_bank, room_for_objects, write
from stm_jax.memory.protocol import EMPTY, Candidate, Memory
from stm_jax.reads.protocol import MemoryView

PREVIOUS = 0  # the previous frame's slot
NEVER = jnp.iinfo(jnp.int32).max  # later than any frame


class FrameRule(Memory[MemoryBank]):
    """A memory of whole frames, in a `MemoryBank`."""

    @abc.abstractmethod
    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides where the frame goes and what gives way.

        A pure function of arrays with static shapes: it runs inside `jit`, `scan` and `vmap`.
        """

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many slots a video of so many frames needs, the previous frame's included.

        None asks for any length; None is the answer where that has no bound.
        """
        return frames

    def empty(self, objects, slots, feature_size, channels, dtype) -> MemoryBank:
        """Returns an empty bank."""
        return empty_bank((objects, slots, *feature_size), channels, dtype)

    def write(self, state: MemoryBank, candidate: Candidate) -> MemoryBank:
        """Does what the rule decides."""
        return write(state, self.decide(state, candidate), candidate)

    def view(self, state: MemoryBank) -> MemoryView:
        """Returns all of the bank."""
        return MemoryView(state.keys, state.values, state.filled, state.region)

    def grown(self, state: MemoryBank, objects: int) -> MemoryBank:
        """Returns the bank with room for more objects."""
        return room_for_objects(state, objects)

    def staying(self, state: MemoryBank) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the frames in all slots but the previous frame's."""
        return np.asarray(state.frame_numbers)[1:]


def only(bank: MemoryBank, slot: int) -> Bool[Array, " slots"]:
    """Returns which slots a decision drops that drops this one alone."""
    return jnp.arange(bank.frame_numbers.shape[0]) == slot


def introduces(bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
    """Returns whether the frame shows an object of which nothing is in memory yet."""
    return (candidate.present & ~bank.filled.any(axis=1)).any()


class BudgetRule(FrameRule):
    """A rule with room for a fixed number of frames besides the previous one.

    The previous frame is always in memory, once, as with `EveryNth`. A frame that brings in a
    new object, as the first one does, stays and is permanent, as long as one place is left for
    frames that are not. When all places are taken, `gives_way` says which frame goes.

    Attributes:
        frames: How many frames may stay, permanent ones included; at least 2.
    """

    frames: int

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(
                "the memory must have room for 2 frames at least, the first and another: "
                f"not {self.frames}"
            )

    @abc.abstractmethod
    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether the frame is to stay."""

    def gives_way(self, places: "Places", bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns which place is to be emptied for it; here the oldest frame's.

        Only asked when all places are taken. A number outside of 0 .. places - 1 says that the
        frame is not taken after all.
        """
        del bank, candidate
        return places.lowest(places.frame_numbers)

    def is_permanent(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether the frame, if it stays, is to stay for ever."""
        return introduces(bank, candidate)

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the budget and the previous frame's slot; less for a short video."""
        return 1 + (self.frames if frames is None else min(self.frames, max(frames - 1, 1)))

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides where the frame goes: a place to stay in, or the previous frame's slot."""
        places = Places.of(bank, self.frames)
        room = places.frame_numbers.shape[0]
        permanent = self.is_permanent(bank, candidate)
        permanent &= places.permanent.sum() < max(room - 1, 1)
        free = places.frame_numbers == EMPTY
        way = self.gives_way(places, bank, candidate)
        possible = free.any() | ((way >= 0) & (way < room) & places.may_go.any())
        stays = (self.stays(bank, candidate) | introduces(bank, candidate)) & possible
        own_slot = 1 + jnp.where(free.any(), jnp.argmax(free), way)
        return Decision(
            slot=jnp.where(stays, own_slot, PREVIOUS),
            dropped=only(bank, PREVIOUS),
            permanent=stays & permanent,
        )


@dataclasses.dataclass(frozen=True)
class EveryRule(BudgetRule):
    """A rule with a budget of which every n-th frame stays.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 5
    every: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise ValueError(
                f"every n-th frame is memorised: every must be at least 1, not {self.every}"
            )

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0


@dataclasses.dataclass(frozen=True)
class Places:
    """The slots in which frames may stay, as many as the budget says.

    Attributes:
        frame_numbers: [places]; -1 where empty.
        permanent: [places].
    """

    frame_numbers: Int[Array, " places"]
    permanent: Bool[Array, " places"]

    @classmethod
    def of(cls, bank: MemoryBank, frames: int) -> "Places":
        """Returns the places of a bank; it may have more slots than the budget."""
        room = slice(1, 1 + frames)
        return cls(bank.frame_numbers[room], bank.permanent[room])

    @property
    def may_go(self) -> Bool[Array, " places"]:
        """Which places hold a frame that is not permanent."""
        return (self.frame_numbers != EMPTY) & ~self.permanent

    def lowest(self, score: Array) -> Int[Array, ""]:
        """Returns the place that may go with the lowest score, of equal ones the oldest frame's."""
        may_go = self.may_go
        top = jnp.finfo(jnp.float32).max if score.dtype == jnp.float32 else NEVER
        score = jnp.where(may_go, score, top)
        tied = may_go & (score == score.min())
        return jnp.argmin(jnp.where(tied, self.frame_numbers, NEVER))

    def by_age(self, index: Int[Array, ""]) -> Int[Array, ""]:
        """Returns the place of the index-th oldest frame of those that may go."""
        return jnp.argsort(jnp.where(self.may_go, self.frame_numbers, NEVER))[index]
