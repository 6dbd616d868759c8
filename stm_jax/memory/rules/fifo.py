"""Cutie's rule: first in, first out, but for the first frame."""

import dataclasses

from jaxtyping import Array, Bool

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import BudgetRule, check_budget
from stm_jax.memory.protocol import Candidate


@dataclasses.dataclass(frozen=True)
class Fifo(BudgetRule):
    """Every n-th frame stays until it is the oldest of too many; the first stays for ever.

    The working memory of Cutie (Cheng et al., "Putting the Object Back into Video Object
    Segmentation", CVPR 2024): T_max = 5 frames with every 5th, and 10 with every 3rd
    in its slower setting ("Cutie+"), the permanent first one counted (`max_mem_frames` and
    `mem_every` of the authors' evaluation configurations). As there, the first frame of an
    object that appears later is permanent too. Unlike there, the previous frame is always in
    memory, as STM's weights expect; Cutie has a recurrent sensory memory instead. With room for
    all, this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 5
    every: int = 5

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0
