"""Frames and masks as a user gives them, checked."""

import numpy as np
from jaxtyping import UInt8

from stm_jax.checks import MOST_PIXELS, shown
from stm_jax.errors import InputError


def check_options(memorize_every: int, short_side: int | None, capacity: int) -> None:
    """Raises InputError unless the options of a `Segmenter` make sense."""
    numbers = {"memorize_every": memorize_every, "capacity": capacity, "short_side": short_side}
    for name, number in numbers.items():
        is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not (is_whole and number < 2**31) and (name, number) != ("short_side", None):
            raise InputError(f"{name} is {shown(repr(number))}: give an integer, at most 2**31")
    if short_side is not None and not 16 <= short_side <= MOST_PIXELS:
        raise InputError(
            f"the short side must be at least 16 pixels and at most {MOST_PIXELS}, not"
            f" {shown(short_side)}"
        )
    if capacity < 2:
        raise InputError(f"the capacity must be at least 2 frames, not {capacity}")
    if memorize_every < 1:
        raise InputError(f"memorize_every must be at least 1, not {memorize_every}")


def planes_of(
    mask: np.ndarray, object_ids: tuple[int, ...], objects: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns one plane an object, (objects, H, W) float32, and which of them are real."""
    planes = np.zeros((objects, *mask.shape), np.float32)
    planes[: len(object_ids)] = mask == np.array(object_ids, mask.dtype)[:, None, None]
    return planes, np.arange(objects) < len(object_ids)


def checked_frame(frame: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Returns a copy of a frame; raises InputError unless it is (H, W, 3) uint8."""
    try:
        frame = np.array(frame)  # a copy: the caller may decode the next frame into the same array
    except ValueError:  # ragged lists
        raise InputError("a frame must be (H, W, 3) uint8, not a ragged list") from None
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InputError(f"a frame must be (H, W, 3) uint8, not {frame.shape} {frame.dtype}")
    return frame


def checked_mask(given: np.ndarray, frame: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    """Returns a copy of a mask; raises InputError unless it is uint8 and of the frame's size."""
    try:
        mask = np.array(given)
    except ValueError:  # ragged lists
        raise InputError(
            f"a mask must be (H, W) uint8 ids, not a ragged {type(given).__name__}"
        ) from None
    if mask.dtype == object:
        raise InputError(f"a mask must be (H, W) uint8 ids, not a {type(given).__name__}")
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise InputError(f"a mask must be (H, W) uint8 ids, not {mask.shape} {mask.dtype}")
    if mask.shape != frame.shape[:2]:
        raise InputError(f"a mask of {size_of(mask)} for frames of {size_of(frame)}; resize one")
    return mask


def size_of(image: np.ndarray) -> str:
    """Returns the width and the height of a picture, for errors."""
    return f"{image.shape[1]}x{image.shape[0]}"
