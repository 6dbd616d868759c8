"""Update rules: what is written into the memory, and what gives way.

A rule is a frozen dataclass with the methods of `EveryNth`. `decide` is a pure function of
arrays with static shapes, so it runs inside `jit` and `lax.scan`.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from stm_jax.memory.bank import EMPTY, Decision, MemoryBank

PREVIOUS = 0  # the previous frame's slot


@dataclasses.dataclass(frozen=True)
class EveryNth:
    """STM's rule: frame 0 and every n-th frame stay, the previous one is always there, once.

    Slot 0 belongs to the previous frame. A frame that stays goes to a slot of its own
    instead, and slot 0 is empty until the next frame: as in the original
    implementation, no frame is in memory twice. When every slot is taken, the oldest frame
    but the first gives way.

    Attributes:
        n: Every how many frames a frame stays (paper section 3.6: 5).
    """

    n: int = 5

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"every n-th frame is memorised: n must be at least 1, not {self.n}")

    def slots_for(self, frames: int) -> int:
        """Returns how many slots a clip of this length needs, so that nothing gives way."""
        # The last frame is segmented but never memorised.
        return self.kept(frames - 1) + 1

    def kept(self, frames: int) -> int:
        """Returns how many of the first `frames` frames stay."""
        return -(-max(frames, 1) // self.n)

    def decide(self, bank: MemoryBank, frame_number: Int[Array, ""]) -> Decision:
        """Decides where the frame goes: a slot to stay in, or the previous frame's."""
        slots = bank.frame_numbers.shape[0]
        staying = bank.frame_numbers[1:]
        stored = jnp.sum(staying != EMPTY)
        # With room for a single staying frame, frame 0 keeps it.
        oldest = 2 + jnp.argmin(staying[1:]) if slots > 2 else PREVIOUS
        own_slot = jnp.where(stored < slots - 1, 1 + stored, oldest)
        slot = jnp.where(frame_number % self.n == 0, own_slot, PREVIOUS)
        return Decision(slot=slot, dropped=jnp.arange(slots) == PREVIOUS)
