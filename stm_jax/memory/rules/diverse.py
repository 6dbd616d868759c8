"""READMem's rule: what makes the memory more diverse stays."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.bank import MemoryBank
from stm_jax.memory.frame_rule import NEVER, EveryRule, Places
from stm_jax.memory.protocol import EMPTY, Candidate


@dataclasses.dataclass(frozen=True)
class Diverse(EveryRule):
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

    Source: READMem (BMVC 2023).

    Attributes:
        every: Every how many frames a frame is considered.
        bound: The similarity with the first frame must be above it.
    """

    frames: int = 10
    every: int = 10
    bound: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
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
        return jax.lax.cond(super().stays(bank, candidate), alike, lambda: jnp.zeros((), bool))

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

        turn = super().stays(bank, candidate)
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
