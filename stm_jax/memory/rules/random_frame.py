"""A baseline: a random frame gives way."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import EveryRule, Places
from stm_jax.memory.protocol import Candidate


@dataclasses.dataclass(frozen=True)
class RandomFrame(EveryRule):
    """Every n-th frame stays, and when all places are taken a random one gives way: a baseline.

    The draw depends on the seed and the frame's number only: with u uniform in [0, 1), of the m
    frames that are not permanent the floor(u m)-th oldest goes. With room for all, this is
    `EveryNth`.

    Source: baseline.

    Attributes:
        seed: Of the draws.
    """

    seed: int = 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns a random frame's place."""
        index = uniform(self.seed, candidate.frame_number) * places.may_go.sum()
        return places.by_age(index.astype(jnp.int32))


def uniform(seed: int, frame_number: Int[Array, ""]) -> Float[Array, ""]:
    """Returns the number in [0, 1) that is drawn for a frame."""
    return jax.random.uniform(jax.random.fold_in(jax.random.key(seed), frame_number))
