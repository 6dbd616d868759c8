"""XMem's and AFB-URR's idea on frames: what is read least gives way."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.bank import MemoryBank, shares
from stm_jax.memory.frame_rule import BudgetRule, Places, check_budget
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class LeastUsed(BudgetRule):
    """Every n-th frame stays, and the one that was read least gives way.

    What AFB-URR and XMem do with elements, done with frames: the attention mass that a frame
    received from all query positions of all objects, as a share of that of the whole memory,
    averaged over the reads since it came. Of equals the oldest goes. With room for all, this is
    `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 5
    every: int = 5
    counts_usage = True

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns the least used frame's place."""
        mean = bank.usage / jnp.maximum(bank.reads, 1)
        return places.lowest(mean[1 : 1 + self.frames])

    def used(self, state: MemoryBank, mass: Float[Array, "objects slots mh mw"]) -> MemoryBank:
        """Adds each frame's share of the attention."""
        occupied = state.frame_numbers != EMPTY
        return dataclasses.replace(
            state, usage=state.usage + shares(state, mass), reads=state.reads + occupied
        )
