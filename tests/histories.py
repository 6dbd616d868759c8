"""Random histories of what a memory is offered, many at once, and what it makes of them.

Object 2 is padding, full of noise that no decision and no read may see. Object 1 appears late
in most histories. The attention mass of a frame is drawn for it, so that a reference without
slots can be told the same.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stm_jax.memory.frame_rule import FrameRule
from stm_jax.memory.object_rule import ObjectRule
from stm_jax.memory.protocol import Candidate, Memory
from stm_jax.reads import Dense

HISTORIES, LENGTH, OBJECTS = 200, 24, 3
SIZE, KEY, VALUE = (1, 3), 4, 2
POSITIONS = SIZE[0] * SIZE[1]
GRID = (5, 6)  # of the masks that decisions look at


class Histories(NamedTuple):
    """Arrays [histories, frames, ...]."""

    key: np.ndarray
    value: np.ndarray
    query: np.ndarray
    certainty: np.ndarray
    masks: np.ndarray
    area: np.ndarray
    box: np.ndarray
    present: np.ndarray
    given: np.ndarray
    mass: np.ndarray  # of each object and frame number, when the frame after is segmented
    shuffle: np.ndarray  # keys that put the slots of a frame rule into another order


def draw(seed: int = 0, *, late: bool = True, length: int = LENGTH) -> Histories:
    """Returns random histories."""
    rng = np.random.default_rng(seed)
    shape = (HISTORIES, length)
    # A few appearances, so that frames are more or less alike.
    looks = rng.normal(size=(HISTORIES, 3, OBJECTS, *SIZE, KEY))
    which = rng.integers(0, 3, (HISTORIES, length))
    key = looks[np.arange(HISTORIES)[:, None], which]
    key = key + rng.uniform(0.02, 1.0, (*shape, 1, 1, 1, 1)) * rng.normal(size=key.shape)
    appears = rng.integers(0, length if late else 1, HISTORIES)
    frame = np.arange(length)
    present = np.zeros((*shape, OBJECTS), bool)
    present[..., 0] = True
    present[..., 1] = frame >= appears[:, None]
    given = (frame == 0) | (frame == appears[:, None])
    if late:
        given |= rng.random(shape) < 0.08
    certainty = rng.uniform(0.5, 1.0, (*shape, OBJECTS)) * (rng.random((*shape, OBJECTS)) > 0.2)
    return Histories(
        key=key.astype(np.float32),
        value=rng.normal(size=(*shape, OBJECTS, *SIZE, VALUE)).astype(np.float32),
        query=rng.normal(size=(*shape, *SIZE, KEY)).astype(np.float32),
        certainty=certainty.astype(np.float32),
        masks=_masks(np.random.default_rng(seed + 1), shape),
        area=np.random.default_rng(seed + 3).integers(70, 130, (*shape, OBJECTS), np.int32),
        box=_boxes(np.random.default_rng(seed + 2), shape),
        present=present,
        given=given,
        mass=rng.random((*shape, OBJECTS, length)).astype(np.float32),
        shuffle=np.zeros((*shape, 64), np.float32),
    )


def _masks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns a blob in each frame, and often another: a look-alike."""
    masks = rng.uniform(0, 0.04, (*shape, OBJECTS, *GRID))
    for index in np.ndindex(*shape, OBJECTS):
        row, column = rng.integers(0, GRID[0] - 1), rng.integers(0, GRID[1] - 1)
        masks[index][row : row + 2, column : column + 2] = rng.uniform(0.7, 1.0)
        if rng.random() < 0.6:
            row, column = rng.integers(0, GRID[0]), rng.integers(0, GRID[1])
            masks[index][row, column : column + 2] = rng.uniform(0.05, 0.3)
    return masks.astype(np.float32)


def _boxes(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Returns boxes that drift, jitter, and jump now and then."""
    steps = rng.uniform(-4, 4, (shape[0], 1, OBJECTS, 2)) + rng.normal(0, 1, (*shape, OBJECTS, 2))
    steps += rng.normal(0, 40, steps.shape) * (rng.random((*shape, OBJECTS, 1)) < 0.15)
    corner = 200 + steps.cumsum(axis=1)
    sides = rng.uniform(20, 40, (shape[0], 1, OBJECTS, 2)) + rng.uniform(0, 4, steps.shape)
    return np.round(np.concatenate([corner, corner + sides], axis=-1)).astype(np.float32)


@functools.partial(jax.jit, static_argnames=("memory", "slots"))
def _run(memory: Memory, slots: int, histories: Histories):
    length = histories.given.shape[1]

    def step(state, item):
        number, frame = item
        if isinstance(memory, FrameRule) and hasattr(memory, "frames"):
            places = jnp.arange(slots - 1)
            within = jnp.where(places < memory.frames, frame.shuffle[: slots - 1], 2.0)
            order = jnp.concatenate([jnp.zeros(1, int), 1 + jnp.argsort(within)])
            state = jax.tree.map(
                lambda leaf: leaf[:, order] if leaf.ndim > 1 else leaf[order], state
            )
        candidate = Candidate(
            key=frame.key,
            value=frame.value,
            masks=frame.masks,
            region=jnp.zeros(frame.key.shape[:3], bool),
            certainty=frame.certainty,
            area=frame.area,
            box=frame.box,
            frame_number=number,
            present=frame.present,
            given=frame.given,
            length=jnp.int32(length),
        )
        state = memory.write(state, candidate)
        view = memory.view(state)
        # What is a read of its own asks with as many channels as there are.
        channels = view.filled.shape[1] if memory.own_read else KEY
        asked, reader = frame.query[..., :channels], memory.own_read or Dense()
        read, mass = jax.vmap(lambda view: reader(asked, view, with_mass=True))(view)
        if memory.counts_usage:
            if isinstance(memory, FrameRule):
                per_frame = frame.mass[:, jnp.maximum(state.frame_numbers, 0)]
                mass = jnp.broadcast_to(per_frame[:, :, None, None] / POSITIONS, mass.shape)
            state = memory.used(state, mass)
        if isinstance(memory, FrameRule):
            kept = (state.frame_numbers, state.permanent, state.filled)
        elif isinstance(memory, ObjectRule):
            kept = (state.frame_numbers, state.kinds, view.filled)
        else:
            kept = (view.keys[:, :, 0, 0], view.values[:, :, 0, 0], view.filled)
        return state, (read, kept)

    def of_one(history):
        start = memory.empty(OBJECTS, slots, SIZE, (KEY, VALUE), jnp.float32)
        return jax.lax.scan(step, start, (jnp.arange(length), history))[1]

    return jax.vmap(of_one)(histories)


def run(memory: Memory, histories: Histories, slots: int | None = None):
    """Returns, for all histories and frames, what is read and what is in memory.

    The latter is (frame numbers, permanent, filled) of a frame rule, (frame numbers, kinds,
    filled) of one that decides for each object, else (keys, values, filled).
    """
    slots = slots or memory.slots_for(histories.given.shape[1])
    assert slots is not None
    # One slot more than asked for, as capacities are rounded up: it must not matter.
    read, kept = _run(memory, slots + isinstance(memory, FrameRule | ObjectRule), histories)
    return np.asarray(read), tuple(np.asarray(array) for array in kept)


def remembered(numbers, filled) -> list[list[dict[int, tuple[int, ...]]]]:
    """Returns {frame number: its objects} for all histories and frames."""
    found = []
    for of_history, objects in zip(numbers, filled, strict=True):
        found.append([])
        for slots, has in zip(of_history, objects, strict=True):
            occupied = np.flatnonzero(slots >= 0)
            assert len(set(slots[occupied].tolist())) == len(occupied), "a frame is there twice"
            assert not has[:, slots < 0].any(), "an empty slot has something in it"
            found[-1].append({int(slots[s]): tuple(np.flatnonzero(has[:, s])) for s in occupied})
    return found
