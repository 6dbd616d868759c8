"""Reads pictures of a few flat colours, with soft edges or the noise of JPEG, as labels."""

import itertools

import cv2
import numpy as np
from jaxtyping import Bool, Int, UInt8

from stm_jax.data.mask_values import VOID, packed, used

MOST_COLOURS = 13  # a dozen objects and the background
NEAR = 24  # a channel's distance at which a colour counts as that of its neighbours
EXACT = 8
CONTRAST = 64  # of two colours, from which on the edge between them has colours of its own
MEETING = 0.8  # share of an edge's pixels that lie where two colours meet
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
    codes, labels = np.unique(packed(rgb), return_inverse=True)
    few = len(codes) <= MOST_COLOURS
    edges: set[int] = set()
    solid = _solid(rgb)
    if few:
        labels = labels.reshape(rgb.shape[:2])
        edges = edge_colours(labels, _unpacked(codes))
        shown = ~np.isin(labels, list(edges))
    else:
        shown = solid
    codes, counts = np.unique(packed(rgb[shown]), return_counts=True)
    by_count = _unpacked(codes)[np.argsort(-counts, kind="stable")].astype(int)
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
    if edges or not few:
        around = np.ones((9, 9), np.uint8)
        for index in range(len(colours)):
            here = (solid & (nearest == index)).astype(np.uint8)
            away = cv2.dilate(here, around) == 0
            others = colours[:index] + colours[index + 1 :]
            if not _is_mixed(colours[index], others):  # a thin line of that very colour is no edge
                away &= distance[index] > EXACT
            distance[index][away] += 1000
        nearest = distance.argmin(axis=0)
    return nearest.astype(np.uint8), np.array(colours, np.uint8)


def edge_colours(
    labels: Int[np.ndarray, "height width"], colours: UInt8[np.ndarray, "colours 3"]
) -> set[int]:
    """Returns which labels are but the edges between others, smoothed, and no objects.

    They fill no square of 3x3 pixels, and several of them have a colour between those of two that
    do, or among those of several (an editor that saves few colours puts edges of different objects
    together), and lie mostly where two of these meet.
    """
    square = np.ones((3, 3), np.uint8)
    values = labels.astype(np.uint8)
    full = cv2.erode(values, square) == cv2.dilate(values, square)
    shown, filled = used(values).tolist(), used(values[full]).tolist()
    if len(shown) == len(filled) or not 2 <= len(filled) <= MOST_COLOURS:
        return set()
    around = np.ones((5, 5), np.uint8)
    there = [cv2.dilate((values == i).astype(np.uint8), around) for i in filled]
    between = np.asarray(np.sum(there, axis=0, dtype=np.uint8) >= 2)
    solid = [colours[i].astype(int) for i in filled]
    others = set(shown) - set(filled)
    surely = [
        i
        for i in others
        if (_is_mixed(colours[i].astype(int), solid) or _is_among(colours[i].astype(int), solid))
        and np.mean(between, where=values == i) >= MEETING
    ]
    return others if len(surely) > 1 else set()  # one alone may be an outline


def _is_mixed(colour: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a colour is one that the edge between two others, far apart, may have."""
    for a, b in itertools.combinations(others, 2):
        if np.abs(b - a).max() < CONTRAST:
            continue
        share = np.clip((colour - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        if np.abs(a + share * (b - a) - colour).max() <= EXACT:
            return True
    return False


def _is_among(colour: np.ndarray, others: list[np.ndarray]) -> bool:
    """Whether a colour, far from each of the others, is a mean of them with some weights."""
    import scipy.optimize  # only pictures with soft edges need it

    if min(np.abs(colour - other).max() for other in others) < 2 * EXACT:
        return False
    points = np.vstack([np.transpose(others), np.full(len(others), VOID)])  # weights that sum to 1
    return bool(scipy.optimize.nnls(points, np.append(colour, VOID))[1] <= EXACT)


def _unpacked(codes: np.ndarray) -> UInt8[np.ndarray, "colours 3"]:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def _solid(rgb: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Returns the pixels whose eight neighbours have nearly their colour."""
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(rgb, square).astype(int) - cv2.erode(rgb, square)
    return spread.max(axis=-1) <= EXACT
