"""Update rules that go by what is in the frames: certainty, attention received, diversity."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.bank import MemoryBank, shares
from stm_jax.memory.frame_rule import (
    NEVER,
    PREVIOUS,
    BudgetRule,
    Places,
    check_budget,
    introduces,
)
from stm_jax.memory.memory import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class Confident(BudgetRule):
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

    Attributes:
        frames: How many stay at a time, permanent ones included (theirs: 20 on DAVIS, 10 on
            YouTube-VOS, not counting the first).
        every: Every how many frames a frame may stay.
        threshold: The least certainty.
    """

    frames: int = 20
    every: int = 5
    threshold: float = 0.8

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"a certainty is within 0 and 1, so not above {self.threshold}")

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn, and it is certain enough."""
        seen = candidate.present & (candidate.certainty > 0)
        certainty = jnp.where(seen, candidate.certainty, 0.0).sum() / jnp.maximum(seen.sum(), 1)
        return (candidate.frame_number % self.every == 0) & (certainty >= self.threshold)


@dataclasses.dataclass(frozen=True)
class LeastUsed(BudgetRule):
    """Every n-th frame stays, and the one that was read least gives way.

    What AFB-URR and XMem do with elements, done with frames: the attention mass that a frame
    received from all query positions of all objects, as a share of that of the whole memory,
    averaged over the reads since it came. Of equals the oldest goes. With room for all, this is
    `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame stays.
    """

    frames: int = 5
    every: int = 5
    counts_usage = True

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns the least used frame's place."""
        mean = bank.usage / jnp.maximum(bank.reads, 1)
        return places.lowest(mean[1 : 1 + self.frames])

    def used(self, state: MemoryBank, mass: Float[Array, "objects slots mh mw"]) -> MemoryBank:
        """Adds each frame's share of the attention."""
        occupied = state.frame_numbers != EMPTY
        return dataclasses.replace(
            state, usage=state.usage + shares(state, mass), reads=state.reads + occupied
        )


@dataclasses.dataclass(frozen=True)
class Ucb(BudgetRule):
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

    Attributes:
        frames: How many stay at a time, permanent ones included (8 in the paper's tables; the
            authors' script for VOST keeps the first and 8 more).
        every: Every how many frames a frame stays.
        weight: Of freshness against relevance (1.5).
        offset: Damps freshness (8).
        momentum: Of the newest relevance (0.8).
    """

    frames: int = 8
    every: int = 5
    weight: float = 1.5
    offset: float = 8.0
    momentum: float = 0.8
    counts_usage = True

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)
        if self.weight < 0 or self.offset < 0:
            raise ValueError(
                f"weight and offset must be at least 0, not {self.weight} and {self.offset}"
            )
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"the momentum must be within 0 and 1, not {self.momentum}")

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn."""
        return candidate.frame_number % self.every == 0

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


@dataclasses.dataclass(frozen=True)
class Diverse(BudgetRule):
    """Every n-th frame stays; when full, it takes the place where it adds most to the diversity.

    READMem (Vujasinovic et al., "READMem: Robust Embedding Association for a Diverse Memory in
    Unconstrained Video Object Segmentation", BMVC 2023, section 3). The diversity is the
    determinant of the Gram matrix of the kept frames: entry (i, j) is the cosine between the
    keys of two frames, all positions in one vector, after each position of the later frame has
    been associated with the position of the earlier one whose key it fits best; the mean over
    the objects that both frames have. A frame is considered only if this similarity with the
    first frame is above a bound. Where no replacement gives at least the present determinant, the
    frame is not kept; the first frame is never replaced.

    As in the authors' published configuration: cosine, memory of 10, every 10th frame, 0.5.
    Unlike there: positions are associated by the keys of the two frames in memory, where theirs
    uses the read's affinity, with the key that the later frame asked with; determinants are
    compared as logarithms, and cosines are not rounded. With room for all and a bound of -1,
    this is `EveryNth`.

    Attributes:
        frames: How many stay at a time, permanent ones included.
        every: Every how many frames a frame is considered.
        bound: The similarity with the first frame must be above it.
    """

    frames: int = 10
    every: int = 10
    bound: float = 0.5

    def __post_init__(self) -> None:
        check_budget(self.frames, self.every)
        if not -1 <= self.bound < 1:
            raise ValueError(f"the bound of a cosine is from -1 to below 1, not {self.bound}")

    def stays(self, bank: MemoryBank, candidate: Candidate) -> Bool[Array, ""]:
        """Returns whether it is the n-th frame's turn, and it is like enough to the first."""
        places = Places.of(bank, self.frames)

        def alike() -> Bool[Array, ""]:
            numbers = jnp.where(places.frame_numbers == EMPTY, NEVER, places.frame_numbers)
            first = 1 + jnp.argmin(numbers)
            both = bank.filled[:, first] & candidate.present
            return similarity(candidate.key, bank.keys[:, first], both) > self.bound

        # Not compared at all in the frames between.
        turn = candidate.frame_number % self.every == 0
        return jax.lax.cond(turn, alike, lambda: jnp.zeros((), bool))

    def gives_way(self, places: Places, bank: MemoryBank, candidate: Candidate) -> Int[Array, ""]:
        """Returns the place where the frame makes the determinant largest, or none."""
        room = places.frame_numbers.shape[0]

        def most_diverse() -> Int[Array, ""]:
            gram = self._gram(places, bank, candidate)
            instead = np.tile(np.arange(room), (room, 1))
            np.fill_diagonal(instead, room)  # row i: the frame in place i is the new one
            with_it = jax.vmap(lambda kept: _log_determinant(gram[kept][:, kept]))(instead)
            best = places.lowest(-with_it)
            better = with_it[best] >= _log_determinant(gram[:room, :room])
            return jnp.where(better, best, -1).astype(jnp.int32)

        turn = candidate.frame_number % self.every == 0
        full = (places.frame_numbers != EMPTY).all()
        return jax.lax.cond(turn & full, most_diverse, lambda: jnp.int32(-1))

    def _gram(
        self, places: Places, bank: MemoryBank, candidate: Candidate
    ) -> Float[Array, "places+1 places+1"]:
        """Returns the Gram matrix of the kept frames and, last, the new one."""
        room = places.frame_numbers.shape[0]
        at = slice(1, 1 + room)
        keys = jnp.concatenate([bank.keys[:, at], candidate.key[:, None]], axis=1)
        filled = jnp.concatenate([bank.filled[:, at], candidate.present[:, None]], axis=1)
        numbers = jnp.append(places.frame_numbers, candidate.frame_number)
        rows, columns = np.triu_indices(room + 1, 1)

        def of_pair(pair: tuple[Array, Array]) -> Float[Array, ""]:
            one, other = pair
            swap = numbers[one] < numbers[other]
            later, earlier = jnp.where(swap, other, one), jnp.where(swap, one, other)
            both = filled[:, one] & filled[:, other]
            return similarity(keys[:, later], keys[:, earlier], both)

        upper = jax.lax.map(of_pair, (jnp.asarray(rows), jnp.asarray(columns)))
        gram = jnp.zeros((room + 1, room + 1)).at[rows, columns].set(upper)
        return gram + gram.T + jnp.eye(room + 1)


def similarity(
    later: Float[Array, "objects h w key"],
    earlier: Float[Array, "objects h w key"],
    both: Bool[Array, " objects"],
) -> Float[Array, ""]:
    """Returns the cosine of two frames' keys after association, the mean over `both` of them."""

    def of_object(pair: tuple[Array, Array]) -> Float[Array, ""]:
        new, old = (keys.reshape(-1, keys.shape[-1]).astype(jnp.float32) for keys in pair)
        associated = old[(new @ old.T).argmax(axis=1)]
        norms = jnp.linalg.norm(new) * jnp.linalg.norm(associated)
        return (new * associated).sum() / jnp.maximum(norms, 1e-8)

    # One object after the other: the products of all pairs of positions are large.
    each = jax.lax.map(of_object, (later, earlier))
    return jnp.where(both, each, 0.0).sum() / jnp.maximum(both.sum(), 1)


def _log_determinant(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """Returns the logarithm of the determinant's absolute value, finite for 0."""
    return jnp.maximum(jnp.linalg.slogdet(matrix)[1], -1e30)
