"""A baseline: a uniform sample of the frames so far."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import BudgetRule, Places, check_budget
from stm_jax.memory.protocol import Candidate
from stm_jax.memory.rules.random_frame import uniform


@dataclasses.dataclass(frozen=True)
class Reservoir(BudgetRule):
    """A uniform random sample of every n-th frame, at any time: a baseline.

    Algorithm R (Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985). With k the number
    of n-th frames so far, the first not counted, and m places that are not permanent, frame k
    takes the floor(u k)-th oldest one's place, u uniform in [0, 1), and is not taken where that
    is not below m. The draw depends on the seed and the frame's number only. With room for all,
    this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame is drawn for.
        seed: Of the draws.
    """

    frames: int = 5
    every: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns a random frame's place, or none."""
        index = uniform(self.seed, candidate.frame_number) * (candidate.frame_number // self.every)
        index = index.astype(jnp.int32)
        taken = index < places.may_go.sum()
        return jnp.where(taken, places.by_age(jnp.where(taken, index, 0)), -1)
