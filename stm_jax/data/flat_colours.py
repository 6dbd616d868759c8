"""Reads pictures of a few flat colours, with soft edges or the noise of JPEG, as labels."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.data.mask_values import packed

MOST_COLOURS = 13  # a dozen objects and the background
NEAR = 24  # a channel's distance at which a colour counts as that of its neighbours
EXACT = 8
BETWEEN, FLAT = 1 / 3, 1 / 2  # at most so many pixels of no flat colour, at least so many of one


def flat_colours(
    rgb: UInt8[np.ndarray, "height width 3"],
) -> tuple[UInt8[np.ndarray, "height width"], UInt8[np.ndarray, "colours 3"]] | None:
    """Returns which flat colour each pixel has, and the colours, the most frequent first.

    A flat colour fills a square of 3x3 pixels somewhere, or the picture has few colours at all.
    A pixel in between is of the colour nearest to its own among those around it.

    Returns:
        None if the picture has too many colours, as a photograph has.
    """
    codes, counts = np.unique(packed(rgb), return_counts=True)
    few = len(codes) <= MOST_COLOURS
    solid = np.ones(rgb.shape[:2], bool) if few else _solid(rgb)
    codes, counts = np.unique(packed(rgb[solid]), return_counts=True)
    by_count = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)[
        np.argsort(-counts, kind="stable")
    ].astype(int)
    colours: list[np.ndarray] = []
    for colour in by_count:
        if few or all(np.abs(colour - other).max() > NEAR for other in colours):
            colours.append(colour)
            if len(colours) > MOST_COLOURS:
                return None
    if not colours:
        return None
    distance = np.stack([np.abs(rgb.astype(np.int16) - c).max(axis=-1) for c in colours])
    nearest = distance.argmin(axis=0)
    off = distance.min(axis=0)
    if (off > 2 * NEAR).mean() > BETWEEN or (off <= EXACT).mean() < FLAT:
        return None
    if not few:
        around = np.ones((9, 9), np.uint8)
        for index in range(len(colours)):
            here = (solid & (nearest == index)).astype(np.uint8)
            distance[index][cv2.dilate(here, around) == 0] += 1000
        nearest = distance.argmin(axis=0)
    return nearest.astype(np.uint8), np.array(colours, np.uint8)


def _solid(rgb: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels whose eight neighbours have nearly their colour."""
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(rgb, square).astype(int) - cv2.erode(rgb, square)
    return spread.max(axis=-1) <= EXACT
