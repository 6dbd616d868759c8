"""XMem's and AFB-URR's idea on frames: what is read least gives way."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stm_jax.memory.bank import MemoryBank, shares
from stm_jax.memory.frame_rule import EveryRule, Places
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class LeastUsed(EveryRule):
    """Every n-th frame stays, and the one that was read least gives way.

    What AFB-URR and XMem do with elements, done with frames: the attention mass that a frame
    received from all query positions of all objects, as a share of that of the whole memory,
    averaged over the reads since it came. Of equals the oldest goes. With room for all, this is
    `EveryNth`.

    Source: XMem's and AFB-URR's idea, on frames.
    """

    counts_usage = True

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
