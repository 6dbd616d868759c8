"""A box or a few scribbles become a mask: GrabCut (Rother et al., SIGGRAPH 2004), of OpenCV."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.errors import InputError
from stm_jax.paint.messages import Scribble

WORKING_PIXELS = 250_000  # a frame is cut at this size: it takes well under a second
ROUNDS = 4
AROUND = 0.6  # of a box's or scribbles' size: what is farther away is background, and left out

OBJECT = (cv2.GC_FGD, cv2.GC_PR_FGD)
Cut = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Divides a picture's pixels by marks, GC_BGD and so on: which are of the object."""


def assisted(
    frame: UInt8[np.ndarray, "height width 3"],
    box: tuple[int, int, int, int] | None,
    scribbles: Sequence[Scribble],
    cut: Cut | None = None,
) -> UInt8[np.ndarray, "height width"]:
    """Returns the mask of one object, 0 and 1.

    Args:
        frame: The frame.
        box: Left, top, right and bottom; all of the object is inside.
        scribbles: On the object and beside it.
        cut: How pixels are divided, GrabCut by default.

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
    is_object = (cut or grab_cut)(small, marks).astype(np.float32)
    back = cv2.resize(is_object, hints.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    found[top:bottom, left:right] = np.where(hints == cv2.GC_FGD, True, back & (hints > 0))
    return found


def grab_cut(
    picture: UInt8[np.ndarray, "h w 3"], marks: UInt8[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Divides pixels by models of the colours of object and background, and by edges."""
    is_object = np.isin(marks, OBJECT)
    if is_object.any() and not is_object.all():
        cv2.setRNGSeed(0)  # its colours are clustered from random beginnings
        models = np.zeros((1, 65)), np.zeros((1, 65))
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.grabCut(bgr, marks, (0, 0, 0, 0), *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(marks, OBJECT)


def _hints(
    size: tuple[int, int],
    box: tuple[int, int, int, int] | None,
    scribbles: Sequence[Scribble],
) -> UInt8[np.ndarray, "height width"]:
    """Returns what is known of every pixel, as OpenCV's GC_BGD, GC_FGD and those with PR."""
    height, width = size
    drawn = [np.zeros(size, np.uint8), np.zeros(size, np.uint8)]
    for each in scribbles:
        # One point alone is no line to OpenCV, and draws nothing.
        points = np.array([*each.points, *each.points[-1:]], np.int64).reshape(-1, 1, 2)
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
