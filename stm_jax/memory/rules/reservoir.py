"""A baseline: a uniform sample of the frames so far."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import EveryRule, Places
from stm_jax.memory.protocol import Candidate
from stm_jax.memory.rules.random_frame import uniform


@dataclasses.dataclass(frozen=True)
class Reservoir(EveryRule):
    """A uniform random sample of every n-th frame, at any time: a baseline.

    Algorithm R (Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985). With k the number
    of n-th frames so far, the first not counted, and m places that are not permanent, frame k
    takes the floor(u k)-th oldest one's place, u uniform in [0, 1), and is not taken where that
    is not below m. The draw depends on the seed and the frame's number only. With room for all,
    this is `EveryNth`.

    Source: baseline (Vitter, ACM TOMS 1985).

    Attributes:
        seed: Of the draws.
    """

    seed: int = 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns a random frame's place, or none."""
        index = uniform(self.seed, candidate.frame_number) * (candidate.frame_number // self.every)
        index = index.astype(jnp.int32)
        taken = index < places.may_go.sum()
        return jnp.where(taken, places.by_age(jnp.where(taken, index, 0)), -1)
