"""XMem++'s rule: what the user annotated stays for ever."""

import dataclasses

from jaxtyping import Array, Bool

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.protocol import Candidate
from stm_jax.memory.rules.fifo import Fifo


@dataclasses.dataclass(frozen=True)
class Annotated(Fifo):
    """As `Fifo`, but every frame whose mask the user gave or corrected stays for ever.

    The permanent memory of XMem++ (Bekuzarov et al., "XMem++: Production-level Video
    Segmentation From Few Annotated Frames", ICCV 2023, section 3): annotated frames are all
    kept and never consolidated. Theirs sits beside XMem's stores and has no limit; here it
    takes from the budget, of which one place is left to frames that are not annotated: given
    frames beyond that are treated as any other. With room for all, and no mask given but the
    first, this is `EveryNth`.

    Source: XMem++ (ICCV 2023).

    Attributes:
        frames: How many stay at a time, annotated ones included.
    """

    frames: int = 16

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it was annotated, or it is the n-th frame's turn."""
        return candidate.given | super().stays(bank, candidate)

    def is_permanent(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it was annotated."""
        return candidate.given
