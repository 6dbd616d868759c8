"""A window that follows the objects: the network sees a part of the frame, enlarged.

Small things keep their pixels, and a large frame costs what one of the working size does. The
window has the frame's shape. It is chosen before each frame, from where the objects were in the
last; that one is remembered through the same window. Nothing is looked for outside of it. Memories
that go by where in the frame something was are misled: what they are told is places in windows.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

MARGIN = 0.6
"""What is seen around the box of the objects, on each side, in its own height and width."""
MOST_ENLARGED = 1.5
NEARLY_WHOLE = 0.85
"""A window of so much of the frame's height is the whole frame."""
STEADY = (0.75, 1.3)
"""A window stays while it holds the box with half the margin and this ratio of heights is kept."""
UNSURE = 0.6
"""Where the objects' pixels are less probable on average, the whole frame is looked at."""

Window = Float[Array, "4"]
"""Top, left, height and width, in pixels of the frame."""
Box = Float[Array, "4"]
"""Top, left, bottom and right, in pixels of the frame."""


def whole(size: tuple[int, int]) -> Window:
    """Returns the window of the whole frame of a size."""
    return jnp.array([0.0, 0.0, *size])


def box_of(masks: Float[Array, "objects h w"], window: Window) -> tuple[Box, Bool[Array, ""]]:
    """Returns the box of all objects that a window shows, and whether there is any."""
    shown = (masks > 0.5).any(axis=0)
    rows, columns = _span(shown.any(axis=1)), _span(shown.any(axis=0))
    scale = window[2:] / jnp.array(masks.shape[1:])
    corners = (
        jnp.stack([rows, columns], axis=1) * scale + window[:2]
    )  # (top, left), (bottom, right)
    return corners.reshape(-1), shown.any()


def _span(occupied: Bool[Array, " n"]) -> Int[Array, "2"]:
    return jnp.stack([occupied.argmax(), occupied.shape[0] - occupied[::-1].argmax()])


def around(box: Box, size: tuple[int, int], working: tuple[int, int]) -> Window:
    """Returns the window around a box, in frames of a size that are segmented at another."""
    height, width = size
    sides = (box[2:] - box[:2]) * (1 + 2 * MARGIN)
    high = jnp.maximum(sides[0], sides[1] * height / width)
    high = jnp.maximum(high, working[0] / MOST_ENLARGED)
    sides = jnp.stack([high, high * width / height])
    place = jnp.clip((box[:2] + box[2:] - sides) / 2, 0, jnp.array(size) - sides)
    found = jnp.concatenate([place, sides])
    return jnp.where(high >= NEARLY_WHOLE * height, whole(size), found)


def next_window(
    masks: Float[Array, "objects h w"], window: Window, size: tuple[int, int]
) -> Window:
    """Returns the window for the next frame.

    Args:
        masks: Soft masks of the last frame, in its window, at the working size.
        window: That window.
        size: Of the frame.
    """
    box, there = box_of(masks, window)
    wanted = around(box, size, (masks.shape[1], masks.shape[2]))
    reach = jnp.tile((box[2:] - box[:2]) * MARGIN / 2, 2) * jnp.array([-1, -1, 1, 1])
    needed = jnp.clip(box + reach, 0, jnp.tile(jnp.array(size), 2))
    holds = (needed[:2] >= window[:2]).all() & (needed[2:] <= window[:2] + window[2:]).all()
    ratio = wanted[2] / window[2]
    wanted = jnp.where(holds & (STEADY[0] < ratio) & (ratio < STEADY[1]), window, wanted)
    counted = masks > 0.5
    certainty = jnp.where(counted, masks, 0).sum() / jnp.maximum(counted.sum(), 1)
    return jnp.where(there & (certainty >= UNSURE), wanted, whole(size))


def seen(
    picture: Float[Array, "h w c"], window: Window, working: tuple[int, int]
) -> Float[Array, "h2 w2 c"]:
    """Returns what a window shows of a frame, at the working size."""
    return _resampled(picture, working, jnp.array(working) / window[2:], window[:2], (0, 1))


def moved(
    masks: Float[Array, "objects h w"], window: Window, to: Window
) -> Float[Array, "objects h w"]:
    """Returns masks as they are seen through another window; outside of the first they are 0."""
    size = masks.shape[1], masks.shape[2]
    per_pixel = jnp.array(size) / window[2:]  # of a pixel of the frame, in the first window
    scale = window[2:] / to[2:]
    return _resampled(masks, size, scale, (to[:2] - window[:2]) * per_pixel, (1, 2))


def put_back(
    planes: Float[Array, "n h w"], window: Window, size: tuple[int, int]
) -> Float[Array, "n h2 w2"]:
    """Returns planes of a window as planes of the whole frame of a size; 0 outside of it."""
    scale = window[2:] / jnp.array(planes.shape[1:])
    return _resampled(planes, size, scale, -window[:2] / scale, (1, 2))


def _resampled(
    planes: Array,
    size: tuple[int, int],
    scale: Float[Array, "2"],
    origin: Float[Array, "2"],
    axes: tuple[int, int],
) -> Array:
    """Returns planes at another size: `origin` goes to 0, and what is `1` long to `scale`."""
    shape = list(planes.shape)
    shape[axes[0]], shape[axes[1]] = size
    return jax.image.scale_and_translate(
        planes, shape, axes, scale, -origin * scale, method="linear", antialias=True
    )


def nearest_seen(
    planes: Float[np.ndarray, "n h w"], window: np.ndarray, working: tuple[int, int]
) -> Float[np.ndarray, "n h2 w2"]:
    """Returns given masks as a window shows them, never interpolated; for NumPy."""
    for axis, length in enumerate(working):
        step = window[2 + axis] / length
        where = np.floor(window[axis] + (np.arange(length) + 0.5) * step).astype(np.int64)
        planes = planes.take(np.clip(where, 0, planes.shape[1 + axis] - 1), axis=1 + axis)
    return planes
