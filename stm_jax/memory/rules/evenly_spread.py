"""STM's `Mem_number`: so many frames, spread over a video of known length."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import BudgetRule
from stm_jax.memory.protocol import Candidate


@dataclasses.dataclass(frozen=True)
class EvenlySpread(BudgetRule):
    """So many frames, spread evenly over a video whose length is known, and the previous one.

    The `Mem_number` option of STM's published evaluation: of a video of L frames, the frames
    numbered round(i L / frames) stay, i = 0 .. frames - 1, halves rounded to even. A frame
    that brings in a new object stays as well, and then the oldest that is not permanent gives way.

    Source: STM's code (`Mem_number`).

    Attributes:
        frames: How many stay, the first included (theirs: `Mem_number` + 1).
    """

    frames: int = 10
    needs_length = True

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether the frame is one of the chosen."""
        twice = 2 * jnp.arange(self.frames) * candidate.length
        rounded = (twice + self.frames) // (2 * self.frames)
        half = (twice + self.frames) % (2 * self.frames) == 0
        chosen = rounded - (half & (rounded % 2 == 1))
        return (chosen == candidate.frame_number).any()
