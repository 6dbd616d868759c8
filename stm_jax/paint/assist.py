"""A box or a few scribbles become a mask: GrabCut (Rother et al., SIGGRAPH 2004), of OpenCV."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from stm_jax.errors import InputError
from stm_jax.paint.messages import Scribble

WORKING_PIXELS = 250_000  # a frame is cut at this size: it takes well under a second
ROUNDS = 4
AROUND = 0.6  # of a box's or scribbles' size: what is farther away is background, and left out


def assisted(
    frame: UInt8[np.ndarray, "height width 3"],
    box: tuple[int, int, int, int] | None,
    scribbles: Sequence[Scribble],
) -> UInt8[np.ndarray, "height width"]:
    """Returns the mask of one object, 0 and 1.

    Args:
        frame: The frame.
        box: Left, top, right and bottom; all of the object is inside.
        scribbles: On the object and beside it.

    Raises:
        InputError: The box is empty.
    """
    height, width = frame.shape[:2]
    hints = _hints((height, width), box, scribbles)
    top, left, bottom, right = _window(hints)
    part, hints = frame[top:bottom, left:right], hints[top:bottom, left:right]
    scale = min(1.0, (WORKING_PIXELS / hints.size) ** 0.5)
    size = max(1, round(hints.shape[1] * scale)), max(1, round(hints.shape[0] * scale))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    marks = cv2.resize(hints, size, interpolation=cv2.INTER_NEAREST)
    found = np.zeros((height, width), np.uint8)
    if len({*np.unique(marks).tolist()} & {cv2.GC_BGD, cv2.GC_PR_BGD}) and _has_object(marks):
        cv2.setRNGSeed(0)  # its colours are clustered from random beginnings
        cv2.grabCut(
            cv2.cvtColor(small, cv2.COLOR_RGB2BGR),
            marks,
            None,
            np.zeros((1, 65)),
            np.zeros((1, 65)),
            ROUNDS,
            cv2.GC_INIT_WITH_MASK,
        )
    cut = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    back = cv2.resize(cut, hints.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    found[top:bottom, left:right] = np.where(hints == cv2.GC_FGD, True, back & (hints > 0))
    return found


def _hints(
    size: tuple[int, int],
    box: tuple[int, int, int, int] | None,
    scribbles: Sequence[Scribble],
) -> UInt8[np.ndarray, "height width"]:
    """Returns what is known of every pixel, as OpenCV's GC_BGD, GC_FGD and those with PR."""
    height, width = size
    drawn = [np.zeros(size, np.uint8), np.zeros(size, np.uint8)]
    for each in scribbles:
        points = np.array(each.points, np.int64).reshape(-1, 1, 2)
        points = np.clip(points, -4 * max(size), 4 * max(size)).astype(np.int32)
        thick = 2 * min(max(each.radius, 0), max(size)) + 1
        cv2.polylines(drawn[each.is_object], [points], False, 1, thick)
    if box is None:
        rows, columns = (np.flatnonzero(drawn[1].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            raise InputError("the scribbles are beside the frame")
        # An object is about as large as what somebody draws through it.
        beside = round(AROUND * max(np.ptp(rows) + 1, np.ptp(columns) + 1, 16))
        box = (
            int(columns[0] - beside),
            int(rows[0] - beside),
            int(columns[-1] + beside + 1),
            int(rows[-1] + beside + 1),
        )
        inside = cv2.GC_PR_BGD
    else:
        inside = cv2.GC_PR_FGD
    left, right = (min(max(each, 0), width) for each in box[::2])
    top, bottom = (min(max(each, 0), height) for each in box[1::2])
    if right <= left or bottom <= top:
        raise InputError("the box is empty or beside the frame: draw it around the object")
    hints = np.full(size, cv2.GC_BGD, np.uint8)
    hints[top:bottom, left:right] = inside
    hints[drawn[1] > 0] = cv2.GC_FGD
    hints[drawn[0] > 0] = cv2.GC_BGD
    return hints


def _window(hints: np.ndarray) -> tuple[int, int, int, int]:
    """Returns top, left, bottom and right of what may be the object, and as much around it."""
    rows, columns = (np.flatnonzero((hints > 0).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("all is marked as not the object")
    down, across = (round(AROUND * (np.ptp(each) + 1)) + 2 for each in (rows, columns))
    return (
        max(0, int(rows[0]) - down),
        max(0, int(columns[0]) - across),
        min(hints.shape[0], int(rows[-1]) + down + 1),
        min(hints.shape[1], int(columns[-1]) + across + 1),
    )


def _has_object(marks: np.ndarray) -> bool:
    return bool(np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).any())
