"""STM's ablation: only frames whose masks were given."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from stm_jax.memory.bank import Decision, MemoryBank
from stm_jax.memory.frame_rule import PREVIOUS, FrameRule, only
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class First(FrameRule):
    """Only the frames whose masks were given, such as the first; others are not even encoded.

    The ablation has one mask, that of frame 0. Here frames given later, of further objects or
    to correct a mask, stay as well, for a new object has nothing else in memory.

    Source: STM (ICCV 2019), ablation.

    Attributes:
        frames: Room for so many given frames; the first ones have it.
        previous: Whether the previous frame is in memory too, as the ablation's "first and
            previous" has it; once, also where it was given.
    """

    frames: int = 4
    previous: bool = False

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"the first frame needs room: frames must be 1, not {self.frames}")

    def slots_for(self, frames: int | None) -> int | None:
        """Returns the given frames' places and the previous frame's slot."""
        return 1 + self.frames

    def may_write(self, state: MemoryBank, given: Bool[Array, ""]) -> Bool[Array, ""] | bool:
        """Returns whether the frame was given and there is room, or it stays as the previous."""
        free = state.frame_numbers[1 : 1 + self.frames] == EMPTY
        return True if self.previous else given & free.any()

    def decide(self, bank: MemoryBank, candidate: Candidate) -> Decision:
        """Decides whether the frame was given and there is room."""
        places = bank.frame_numbers[1 : 1 + self.frames]
        free = places == EMPTY
        stays = candidate.given & free.any()
        return Decision(
            slot=jnp.where(stays, 1 + jnp.argmax(free), PREVIOUS),
            dropped=only(bank, PREVIOUS),
            written=stays | self.previous,
            permanent=stays,
        )
