"""What a Python program may give: frames and masks of other types, shapes and orders."""

import functools
import pathlib

import numpy as np

from stm_jax.infer.given import checked_frame, checked_mask
from stm_jax.infer.segmenter import Segmenter
from tests.hostile.attempt import Attempt, pick
from tests.lively import clip, first_mask, lively_model

FRAME, MASK = clip(1)[0], first_mask()


@functools.cache
def segmenter() -> Segmenter:
    return Segmenter(lively_model())


def strange_frames(rng: np.random.Generator) -> tuple[object, ...]:
    return (
        *(None, 3, "frame", [], [[1, 2], [3]], {}, FRAME[..., 0], FRAME[..., :2], FRAME[None]),
        *(FRAME / 255, FRAME.astype(np.int64), FRAME.astype(bool), FRAME.astype(np.float16)),
        *(np.dstack([FRAME, FRAME[..., :1]]), FRAME.transpose(2, 0, 1), FRAME.astype(object)),
        *(np.array("x"), np.zeros((0, 0, 3)), rng.bytes(40), FRAME.tolist()),
        [FRAME, FRAME[1:]],
    )


def strange_masks(rng: np.random.Generator) -> tuple[object, ...]:
    return (
        *(None, 3, "mask", [], [[1, 2], [3]], {1: MASK > 0}, MASK[None], MASK[..., None]),
        *(MASK > 0, MASK.astype(np.int64), MASK.astype(np.float32), MASK.astype(object)),
        *(np.stack([MASK == 1, MASK == 4]), MASK[1:], MASK.T, MASK[::2, ::2], rng.bytes(9)),
        *(np.array("x"), np.zeros((0, 0), np.uint8), np.where(MASK > 0, np.nan, 0.0)),
        *(MASK.astype(np.int8) - 1, MASK.astype(np.uint16) + 256, [MASK, MASK[1:]], MASK.tolist()),
    )


def given_frame(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    given = pick(rng, strange_frames(rng))
    return Attempt(lambda: checked_frame(given), told=("frame",))


def given_good_frame(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """Of any order in memory, and read-only; what is returned is a copy."""
    frame = pick(rng, (FRAME, FRAME[::-1], np.asfortranarray(FRAME), FRAME[:, ::2]))
    frame.flags.writeable = False

    def right(found: np.ndarray) -> bool:
        return np.array_equal(found, frame) and not np.shares_memory(found, frame)

    return Attempt(lambda: checked_frame(frame), right)


def given_mask(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    given = pick(rng, strange_masks(rng))
    return Attempt(lambda: checked_mask(given, FRAME), told=("mask",))


def given_first_mask(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    given = pick(rng, (*strange_masks(rng), np.zeros_like(MASK)))
    return Attempt(lambda: segmenter().start(FRAME, given), told=("mask",))


def given_clip(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    given = pick(rng, (*strange_frames(rng)[:-1], [FRAME, FRAME[1:]], np.zeros((0, 9, 9, 3))))
    if isinstance(given, np.ndarray) and given.shape == (1, *FRAME.shape):
        given = given[:0]
    return Attempt(lambda: segmenter().segment(given, MASK), told=("frame",))


def given_options(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    name = pick(rng, ("memorize_every", "short_side", "capacity"))
    value = pick(rng, (0, -1, 10**9, 10**400, 1, float("nan"), 2.5, "8", True, [3]))
    if (name, value) in (
        ("memorize_every", 10**9),
        ("memorize_every", 1),
        ("memorize_every", True),
    ):
        value = -7
    if name == "capacity" and value in (10**9, 10**400):
        value = -7
    return Attempt(lambda: Segmenter(lively_model(), **{name: value}))


def given_saved_state(folder: pathlib.Path, rng: np.random.Generator) -> Attempt:
    """A state of another kind, or with something missing: refused, not run."""
    other = Segmenter(lively_model())
    other.start(FRAME, MASK)
    arrays = other.state_arrays()
    del arrays[pick(rng, arrays)]
    return Attempt(lambda: Segmenter(lively_model()).restore(arrays))
