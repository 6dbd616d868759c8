"""What is hard about an object of a video, told from its true masks alone.

Pictures are not looked at. So what looks like an object and is background, as the look-alikes of
the synthetic benchmark, is not seen here; nor is a change of light, or blur.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from stm_jax.data.benchmarks import BenchmarkSequence

AROUND = 15  # frames before and after, whose median area says how large an object is
HIDDEN = 0.5  # of that area
LIKE_AREA, LIKE_SHAPE = 0.5, 0.6


@dataclasses.dataclass(frozen=True)
class Attribute:
    """A difficulty that an object has or has not.

    Attributes:
        name: Of it.
        meaning: When an object has it.
        holds: Says so of the measures that `attributes_of` takes of it.
    """

    name: str
    meaning: str
    holds: Callable[[Mapping[str, float]], bool]


ATTRIBUTES = (
    Attribute(
        "fast motion",
        "its centre moves by more than 2 % of the frame's diagonal a frame, in the mean of the"
        " frames that show it (20 pixels at 854x480, as DAVIS 2016 has it)",
        lambda measures: measures["motion"] > 0.02,
    ),
    Attribute(
        "occlusion",
        "for three frames or more in a row it shows less than half of the median area of the 15"
        " frames before and after, or nothing",
        lambda measures: measures["hidden"] >= 3,
    ),
    Attribute(
        "absence",
        "it is out of sight for five frames or more in a row",
        lambda measures: measures["gone"] >= 5,
    ),
    Attribute(
        "small",
        "its area is less than 1 % of the frame, in the mean of the frames that show it",
        lambda measures: measures["area"] < 0.01,
    ),
    Attribute(
        "look-alikes",
        "in a quarter of the frames that show it another object has half to twice its area, and,"
        " laid over it centre on centre, an intersection over union of 0.6 or more",
        lambda measures: measures["alike"] >= 0.25,
    ),
)


def attributes_of(sequence: BenchmarkSequence) -> dict[str, Any]:
    """Returns the measures of every object, by its id; one mask is held at a time.

    `area`: mean share of the frame; `motion`: mean way of the centre a frame, in diagonals;
    `hidden` and `gone`: the longest runs of frames of which `ATTRIBUTES` speaks; `alike`: the
    share of frames with another object like it. Frames without a true mask are passed over, and
    those before an object is first shown.
    """
    ids = sequence.object_ids
    known = [index for index, truth in enumerate(sequence.truths) if truth is not None]
    areas = np.zeros((len(known), len(ids)))
    centres = np.full((len(known), len(ids), 2), np.nan)
    alike = np.zeros((len(known), len(ids)), bool)
    shape = (1, 1)
    for row, index in enumerate(known):
        truth = sequence.truth(index)
        shape = truth.shape
        masks = [_cut(truth == object_id) for object_id in ids]
        for column, (mask, centre) in enumerate(masks):
            areas[row, column], centres[row, column] = np.count_nonzero(mask), centre
            others = masks[:column] + masks[column + 1 :]
            alike[row, column] = any(are_alike(mask, other) for other, _ in others)
    measures = {}
    for column, object_id in enumerate(ids):
        begin = int(np.argmax(areas[:, column] > 0))
        rows = slice(begin, None)
        measures[str(object_id)] = _measures(
            areas[rows, column], centres[rows, column], alike[rows, column], known[begin:], shape
        )
    return measures


def are_alike(mask: Bool[np.ndarray, "h w"], other: Bool[np.ndarray, "h2 w2"]) -> bool:
    """Says whether two masks have a like area and, centre on centre, a like shape."""
    areas = np.count_nonzero(mask), np.count_nonzero(other)
    if min(areas) == 0 or min(areas) < LIKE_AREA * max(areas):
        return False
    height, width = (2 * max(a, b) for a, b in zip(mask.shape, other.shape, strict=True))
    laid = [_laid(each, height, width) for each in (mask, other)]
    union = np.count_nonzero(laid[0] | laid[1])
    return bool(np.count_nonzero(laid[0] & laid[1]) >= LIKE_SHAPE * union)


def _measures(
    areas: Float[np.ndarray, " t"],
    centres: Float[np.ndarray, "t 2"],
    alike: Bool[np.ndarray, " t"],
    frames: list[int],
    shape: tuple[int, ...],
) -> dict[str, float]:
    seen = areas > 0
    if not seen.any():
        return {"area": 0.0, "motion": 0.0, "hidden": 0, "gone": 0, "alike": 0.0}
    ways = np.linalg.norm(np.diff(centres, axis=0), axis=1) / np.diff(frames)
    ways = ways[seen[1:] & seen[:-1]] / math.hypot(*shape)
    usual = np.array(
        [
            np.median(around[around > 0]) if (around > 0).any() else 0.0
            for around in (areas[max(t - AROUND, 0) : t + AROUND + 1] for t in range(len(areas)))
        ]
    )
    return {
        "area": float(areas[seen].mean() / np.prod(shape)),
        "motion": float(ways.mean()) if len(ways) else 0.0,
        "hidden": _longest(~seen | (areas < HIDDEN * usual)),
        "gone": _longest(~seen),
        "alike": float(alike[seen].mean()),
    }


def _longest(holds: Bool[np.ndarray, " t"]) -> int:
    """Returns how many frames the longest run has in which it holds."""
    longest = run = 0
    for each in holds:
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


def _cut(mask: Bool[np.ndarray, "h w"]) -> tuple[np.ndarray, tuple[float, float]]:
    """Returns the smallest part that holds the mask, and its centre in the frame; NaN if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return mask[:0, :0], (np.nan, np.nan)
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    row, column = _centre(cut)
    return cut, (row + rows[0], column + columns[0])


def _centre(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    counts = mask.sum(axis=1), mask.sum(axis=0)
    row, column = (float(c @ np.arange(len(c)) / c.sum()) for c in counts)
    return row, column


def _laid(mask: Bool[np.ndarray, "h w"], height: int, width: int) -> Bool[np.ndarray, "h2 w2"]:
    """Returns the mask in a frame of another size, its centre in the middle."""
    laid = np.zeros((height, width), bool)
    row, column = _centre(mask)
    top, left = round(height / 2 - row - 0.5), round(width / 2 - column - 0.5)
    laid[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return laid
