"""XMem's working memory of frames and long-term memory of prototypes."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from stm_jax.memory.protocol import EMPTY, Candidate, Memory, filled_with
from stm_jax.memory.stores.elements import Elements, flat, no_elements, room_for_more, view_of
from stm_jax.reads.affinity import scores, softmax_where
from stm_jax.reads.protocol import MemoryView

PREVIOUS = 0  # the previous frame's slot among the working frames


@flax.struct.dataclass
class XMemState:
    """Working frames and, behind them, long-term elements.

    Attributes:
        elements: The positions of the previous frame, of the working frames, and long-term ones.
            `usage` is attention mass received, `age` the number of reads.
        frame_numbers: [1 + working frames]; of the previous frame and the working frames.
    """

    elements: Elements
    frame_numbers: Int[Array, " slots"]


@dataclasses.dataclass(frozen=True)
class XMem(Memory[XMemState]):
    """Recent frames whole; of older ones the most used positions, potentiated, up to a bound.

    Cheng and Schwing, "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory
    Model", ECCV 2022, sections 3.3 and 3.4, with the published code's numbers. Every n-th frame
    goes to the working memory. Once that holds `most_frames`, all but the first and the last
    `fewest_frames` - 1 of them are consolidated: of their elements, the `prototypes` with the
    highest usage (attention mass received, divided by the number of reads) become prototypes; a
    prototype's value is the sum of all candidates' values weighted by the softmax of the scores
    of its key with theirs (potentiation). They join the long-term memory, from which the
    elements with the lowest usage make room.

    Unlike in XMem: scores are STM's dot product over sqrt(key channels), for which its weights
    are made, not the anisotropic L2 similarity; keys are each object's own, so prototypes are
    chosen for each object, where XMem lets the first objects' usage choose for all; the previous
    frame is always in memory, where XMem has a recurrent sensory memory; and of elements
    with the same usage just as many are removed as must be, where theirs removes all. Reading by
    top-k (30 there) is up to the read. XMem's first frame is permanent, and so it is here. As
    long as nothing is consolidated, this is `EveryNth`.

    Source: XMem (ECCV 2022).

    Attributes:
        every: Every how many frames a frame stays (5).
        fewest_frames: Working frames after a consolidation, T_min (5).
        most_frames: Working frames that bring one about, T_max (10).
        prototypes: How many a consolidation makes, P (128).
        elements: The most that long-term memory holds (10000).
    """

    every: int = 5
    fewest_frames: int = 5
    most_frames: int = 10
    prototypes: int = 128
    elements: int = 10_000
    counts_usage = True

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")
        if not 1 <= self.fewest_frames < self.most_frames:
            raise ValueError(
                "working frames must be at least 1 and more before a consolidation than after, "
                f"not {self.most_frames} and {self.fewest_frames}"
            )
        if not 1 <= self.prototypes <= self.elements:
            raise ValueError(
                "a consolidation makes at least 1 prototype and at most as many as long-term "
                f"memory holds, not {self.prototypes} of {self.elements}"
            )

    def slots_for(self, frames: int | None) -> int | None:
        """Returns how many long-term elements a video of this length needs."""
        if frames is None:
            return self.elements
        kept = -(-max(frames - 1, 1) // self.every)
        each = self.most_frames - self.fewest_frames
        times = max(0, kept - self.most_frames + each) // each
        return min(self.elements, max(times, 1) * self.prototypes)

    def empty(self, objects, slots, feature_size, channels, dtype) -> XMemState:
        """Returns empty stores, with room for so many `slots` of long-term elements."""
        working = 1 + self.most_frames
        long_term = max(min(slots, self.elements), self.prototypes)
        count = working * feature_size[0] * feature_size[1] + long_term
        return XMemState(
            elements=no_elements(objects, count, channels, dtype),
            frame_numbers=filled_with(EMPTY, (working,), jnp.int32),
        )

    def view(self, state: XMemState) -> MemoryView:
        """Returns working and long-term memory together: one softmax goes over both."""
        return view_of(state.elements)

    def used(self, state: XMemState, mass: Float[Array, "objects slots 1 1"]) -> XMemState:
        """Adds the mass and the read to every element's usage."""
        old = state.elements
        elements = dataclasses.replace(
            old, usage=old.usage + mass[:, :, 0, 0] * old.filled, age=old.age + old.filled
        )
        return dataclasses.replace(state, elements=elements)

    def grown(self, state: XMemState, objects: int) -> XMemState:
        """Returns the stores with room for more objects."""
        elements = jax.tree.map(lambda leaf: room_for_more(leaf, objects), state.elements)
        return dataclasses.replace(state, elements=elements)

    def staying(self, state: XMemState) -> Int[np.ndarray, " frames"]:
        """Returns the numbers of the working frames."""
        return np.asarray(state.frame_numbers)[1:]

    def write(self, state: XMemState, candidate: Candidate) -> XMemState:
        """Writes the frame, and consolidates if working memory is full then."""
        positions = candidate.key.shape[1] * candidate.key.shape[2]
        free = state.frame_numbers[1:] == EMPTY
        stays = candidate.frame_number % self.every == 0
        slot = jnp.where(stays, 1 + jnp.argmax(free), PREVIOUS)
        start = slot * positions

        def put(array: Array, item: Array) -> Array:
            item = jnp.broadcast_to(item, (array.shape[0], positions, *array.shape[2:]))
            item = item.astype(array.dtype)
            return jax.lax.dynamic_update_slice_in_dim(array, item, start, 1)

        old = state.elements
        previous = jnp.arange(old.filled.shape[1]) < positions
        elements = Elements(
            keys=put(old.keys, flat(candidate.key)),
            values=put(old.values, flat(candidate.value)),
            filled=put(old.filled & ~previous, candidate.present[:, None]),
            usage=put(old.usage, jnp.zeros((1, 1))),
            age=put(old.age, jnp.zeros((1, 1))),
        )
        numbers = state.frame_numbers.at[PREVIOUS].set(EMPTY).at[slot].set(candidate.frame_number)
        full = (numbers[1:] != EMPTY).all()
        return jax.lax.cond(
            full,
            lambda state: self._consolidate(state, positions),
            lambda state: state,
            XMemState(elements, numbers),
        )

    def _consolidate(self, state: XMemState, positions: int) -> XMemState:
        by_age = jnp.argsort(state.frame_numbers[1:])
        sources = 1 + by_age[1 : 1 + self.most_frames - self.fewest_frames]
        chosen = (sources[:, None] * positions + jnp.arange(positions)).ravel()
        working = (1 + self.most_frames) * positions

        def for_object(elements: Elements) -> Elements:
            candidates = jax.tree.map(lambda leaf: leaf[chosen], elements)
            long_term = jax.tree.map(lambda leaf: leaf[working:], elements)
            keys, values, real = self._potentiate(candidates)
            usage = jnp.where(long_term.filled, _mean_usage(long_term), -1.0)
            places = jnp.argsort(usage)[: len(keys)]  # the empty ones, then the least used

            def put(array: Array, item: Array) -> Array:
                there = array[working + places]
                item = jnp.broadcast_to(item.astype(array.dtype), there.shape)
                keep = real.reshape(-1, *[1] * (there.ndim - 1))
                return array.at[working + places].set(jnp.where(keep, item, there))

            return Elements(
                keys=put(elements.keys, keys),
                values=put(elements.values, values),
                filled=put(elements.filled.at[chosen].set(False), real),
                usage=put(elements.usage, jnp.zeros(())),
                age=put(elements.age, jnp.zeros(())),
            )

        return XMemState(
            elements=jax.lax.map(for_object, state.elements),
            frame_numbers=state.frame_numbers.at[sources].set(EMPTY),
        )

    def _potentiate(
        self, candidates: Elements
    ) -> tuple[Float[Array, "p key"], Float[Array, "p value"], Bool[Array, " p"]]:
        """Returns keys and values of an object's prototypes, and which are of real elements."""
        usage = jnp.where(candidates.filled, _mean_usage(candidates), -1.0)
        count = min(self.prototypes, usage.shape[0])
        top, where = jax.lax.top_k(usage, count)
        keys = candidates.keys[where]
        weights = softmax_where(candidates.filled[None], scores(keys, candidates.keys))
        values = weights @ candidates.values.astype(jnp.float32)
        return keys, values, top >= 0


def _mean_usage(elements: Elements) -> Float[Array, " elements"]:
    return elements.usage / jnp.maximum(elements.age, 1)
