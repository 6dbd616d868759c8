"""QDMN's rule: only frames that are certain stay."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import EveryRule
from stm_jax.memory.protocol import Candidate


@dataclasses.dataclass(frozen=True)
class Confident(EveryRule):
    """Every n-th frame stays if its masks are certain enough; the oldest but the first goes.

    The gate of QDMN (Liu et al., "Learning Quality-aware Dynamic Memory for Video Object
    Segmentation", ECCV 2022, section 3.2) without its learned quality score, for which other
    weights would be needed: here a frame's certainty is the mean over its objects of the mean
    probability of the pixels above 0.5 (`Candidate.certainty`). Objects that have no such pixel
    do not count, for they may be out of sight; with none that has, the certainty is 0. With a
    threshold of 0 this is `Fifo`, and `EveryNth` with room for all.

    Unlike in the authors' code: there a frame stays if 5 frames have passed since the last that
    did and its quality is above 0.9 of the first frame's (DAVIS; for YouTube-VOS above 0.75 of the
    first segmented frame's), and the one gives way whose quality plus exp(-age) is lowest, its
    age counted in frames that stayed. A certainty is another measure: the threshold is not theirs.

    Source: after QDMN (ECCV 2022).

    Attributes:
        frames: How many stay at a time, permanent ones included (theirs: 20 on DAVIS, 10 on
            YouTube-VOS, not counting the first).
        threshold: The least certainty.
    """

    frames: int = 20
    threshold: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a certainty is within 0 and 1, so not above {self.threshold}")

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn, and it is certain enough."""
        seen = candidate.present & (candidate.certainty > 0)
        certainty = jnp.where(seen, candidate.certainty, 0.0).sum() / jnp.maximum(seen.sum(), 1)
        return super().stays(bank, candidate) & (certainty >= self.threshold)
