"""STM's rule: the first frame and every n-th stay."""

import dataclasses

import jax.numpy as jnp

from stm_jax.memory.bank import Decision, MemoryBank
from stm_jax.memory.frame_rule import PREVIOUS, FrameRule, only
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class EveryNth(FrameRule):
    """STM's rule: frame 0 and every n-th frame stay, the previous one is always there, once.

    Slot 0 belongs to the previous frame. A frame that stays goes to a slot of its own
    instead, and slot 0 is empty until the next frame: as in the original
    implementation, no frame is in memory twice. When every slot is taken, the oldest frame
    but the first gives way.

    Source: STM (ICCV 2019).

    Attributes:
        n: Every how many frames a frame stays (paper section 3.6: 5).
    """

    n: int = 5

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"every n-th frame is memorised: n must be at least 1, not {self.n}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many slots a clip of this length needs, so that nothing gives way."""
        # The last frame is segmented but never memorised.
        return None if frames is None else self.kept(frames - 1) + 1

    def kept(self, frames: int) -> int:
        """Returns how many of the first `frames` frames stay."""
        return -(-max(frames, 1) // self.n)

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides where the frame goes: a slot to stay in, or the previous frame's."""
        slots = bank.frame_numbers.shape[0]
        staying = bank.frame_numbers[1:]
        stored = jnp.sum(staying != EMPTY)
        # With room for a single staying frame, frame 0 keeps it.
        oldest = 2 + jnp.argmin(staying[1:]) if slots > 2 else PREVIOUS
        own_slot = jnp.where(stored < slots - 1, 1 + stored, oldest)
        slot = jnp.where(candidate.frame_number % self.n == 0, own_slot, PREVIOUS)
        return Decision(slot=slot, dropped=only(bank, PREVIOUS))
