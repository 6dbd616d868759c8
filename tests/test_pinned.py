"""Pinned frames beside any memory: what the memory is told is of its own frames alone."""

import dataclasses

import jax
import numpy as np
import pytest

from stm_jax.memory import LeastUsed, XMem
from stm_jax.memory.pinned import Pinned, put
from stm_jax.memory.protocol import Candidate, candidate_of


def candidate(rng: np.random.Generator, number: int) -> Candidate:
    """A frame of one object at 2 x 3 positions."""
    key, value = (rng.normal(size=(1, 2, 3, c)).astype(np.float32) for c in (4, 5))
    masks = rng.uniform(size=(1, 32, 48)).astype(np.float32)
    present = np.ones(1, bool)
    return candidate_of(key, value, masks, np.int32(number), present, np.array(False), np.int32(0))


@pytest.mark.parametrize(
    "memory",
    [LeastUsed(4, every=1), XMem(every=1, fewest_frames=1, most_frames=2, prototypes=4)],
    ids=lambda memory: type(memory).__name__,
)
def test_what_pinned_frames_receive_is_not_counted_for_others(memory):
    rng = np.random.default_rng(0)
    pinned = Pinned(memory, 2)
    state = pinned.empty(1, 5, (2, 3), (4, 5), np.float32)
    frames = put(state.frames, candidate(rng, 7))
    state = dataclasses.replace(state, frames=frames)
    for number in range(4):
        state = pinned.write(state, candidate(rng, number))
    view, own = pinned.view(state), memory.view(state.own)
    mass = rng.uniform(1, 9, view.keys.shape[:4]).astype(np.float32)
    of_pinned = view.filled.shape[1] - own.filled.shape[1]
    assert of_pinned == 2 * (1 if own.keys.shape[2] == 2 else 6)
    found = pinned.used(state, mass)
    expected = memory.used(state.own, mass[:, of_pinned:])
    changed = 0
    for ours, theirs, before in zip(
        *map(jax.tree.leaves, (found.own, expected, state.own)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
        changed += not np.array_equal(ours, before)
    assert changed
    jax.tree.map(np.testing.assert_array_equal, found.frames, state.frames)
