"""SAM 2's rule: the given frames and the last few."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from stm_jax.memory.bank import Decision, MemoryBank
from stm_jax.memory.frame_rule import FrameRule
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class Recent(FrameRule):
    """The frames whose masks were given, and the last n frames.

    SAM 2's memory bank (Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025,
    section 4): up to N = 6 recent frames first in first out, and the prompted frames
    (`num_maskmem` = 7 in the authors' code: one prompted and 6). As in that code, a given frame is
    not among the recent ones, so those are the last n frame numbers less the given. Theirs keeps
    any number of prompted frames; here they have a fixed number of places, and those beyond are
    treated as any other. SAM 2's object pointers and its temporal position code are part of its
    weights and are not here.

    Source: SAM 2 (ICLR 2025).

    Attributes:
        n: How many recent frames (6).
        given: Room for so many given frames.
    """

    n: int = 6
    given: int = 4

    def __post_init__(self) -> None:
        if self.n < 1 or self.given < 1:
            raise ValueError(
                "1 recent frame and 1 given frame need room at least, "
                f"not n = {self.n} and given = {self.given}"
            )

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the recent and the given frames' slots, in this order."""
        return self.n + self.given

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides on a slot of its own if it was given, else on the oldest recent frame's."""
        free = bank.frame_numbers[self.n : self.n + self.given] == EMPTY
        kept = candidate.given & free.any()
        oldest = candidate.frame_number % self.n
        return Decision(
            slot=jnp.where(kept, self.n + jnp.argmax(free), oldest),
            dropped=jnp.arange(bank.frame_numbers.shape[0]) == oldest,
            permanent=kept,
        )

    def staying(self, state: MemoryBank) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the given frames."""
        return np.asarray(state.frame_numbers)[self.n :]
