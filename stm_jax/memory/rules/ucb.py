"""RMem's rule: the least relevant frame that is not fresh gives way."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from stm_jax.memory.bank import MemoryBank, shares
from stm_jax.memory.frame_rule import PREVIOUS, EveryRule, Places, introduces
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class Ucb(EveryRule):
    """Every n-th frame stays; the one that is least relevant and not fresh gives way.

    RMem (Zhou, Pang and Wang, "RMem: Restricted Memory Banks Improve Video Object Segmentation",
    CVPR 2024, section 4): an upper confidence bound, as for a bandit's arms, with the authors'
    published numbers. Every time a frame is to stay, with R_i the share of the last read's
    attention that the kept frame i received, and n_i the number of such times since it came,

        r_i <- R_i the first time, then (1 - momentum) r_i + momentum R_i
        score_i = r_i + weight sqrt(log(sum_j n_j) / (n_i + offset))

    and the lowest score goes when all places are taken, never the first frame's, whose n counts
    as the number of frames. The paper's equation 4 has the bound sqrt(2 log(T) / n_i), which is
    a weight of sqrt(2) and an offset of 0. Unlike in the authors' code: R_i comes from STM's one
    read, with the share of the previous frame left out, where theirs has attention of its own for
    it; every query position counts the same, where theirs weighs them by the probability of
    foreground; and r_i and n_i are noted from the beginning, where theirs begins when all places
    are taken. With room for all, this is `EveryNth`.

    Source: RMem (CVPR 2024).

    Attributes:
        frames: How many stay at a time, permanent ones included (8 in the paper's tables; the
            authors' script for VOST keeps the first and 8 more).
        weight: Of freshness against relevance (1.5).
        offset: Damps freshness (8).
        momentum: Of the newest relevance (0.8).
    """

    frames: int = 8
    weight: float = 1.5
    offset: float = 8.0
    momentum: float = 0.8
    counts_usage = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight < 0 or self.offset < 0:
            raise ValueError(
                f"weight and offset must be at least 0, not {self.weight} and {self.offset}"
            )
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"the momentum must be within 0 and 1, not {self.momentum}")

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns the place of the frame with the lowest score; `write` has noted r_i and n_i."""
        room = slice(1, 1 + self.frames)
        occupied = places.frame_numbers != EMPTY
        # The time it came is one as well.
        times = jnp.where(places.permanent, occupied.sum(), bank.reads[room] + 1)
        total = jnp.where(occupied, times, 0).sum()
        freshness = jnp.sqrt(jnp.log(jnp.maximum(total, 1)) / (times + self.offset))
        return places.lowest(bank.usage[room] + self.weight * freshness)

    def write(self, state: MemoryBank, candidate: Candidate) -> MemoryBank:
        """Takes note of relevance and time if a frame is to stay, and does what is decided."""
        turn = self.stays(state, candidate) | introduces(state, candidate)
        of_kept = state.recent.at[PREVIOUS].set(0.0)
        now = of_kept / jnp.maximum(of_kept.sum(), jnp.finfo(jnp.float32).tiny)
        mixed = (1 - self.momentum) * state.usage + self.momentum * now
        relevance = jnp.where(state.reads == 0, now, mixed)
        noted = dataclasses.replace(
            state,
            usage=jnp.where(turn, relevance, state.usage),
            reads=state.reads + (turn & (state.frame_numbers != EMPTY)),
        )
        return super().write(noted, candidate)

    def used(self, state: MemoryBank, mass: Float[Array, "objects slots mh mw"]) -> MemoryBank:
        """Keeps each frame's share of this read's attention."""
        return dataclasses.replace(state, recent=shares(state, mass))
