"""STM's ablation: only the previous frame."""

import dataclasses

import jax.numpy as jnp

from stm_jax.memory.bank import Decision, MemoryBank
from stm_jax.memory.frame_rule import PREVIOUS, FrameRule, only
from stm_jax.memory.protocol import Candidate


@dataclasses.dataclass(frozen=True)
class Previous(FrameRule):
    """Only the previous frame is in memory.

    Source: STM (ICCV 2019), ablation.
    """

    def slots_for(self, frames: int | None) -> int | None:
        """Returns 1."""
        return 1

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides to overwrite the only frame."""
        return Decision(slot=jnp.int32(PREVIOUS), dropped=only(bank, PREVIOUS))
