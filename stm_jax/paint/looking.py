"""Draws where the read of a pixel went, of each pass that the frame's answer is from."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from stm_jax.annotate.annotator import Annotator, Way
from stm_jax.data.image_files import encoded_png
from stm_jax.errors import InputError
from stm_jax.paint.messages import Look
from stm_jax.report.heat import Sheet


def looked(session: Annotator, asked: Look, way: Way, done: Callable[[], None]) -> bytes:
    """Returns heat maps over the memory frames as a PNG, one sheet a pass, below one another.

    Args:
        session: Where.
        asked: Which pixel.
        way: In which the objects are followed.
        done: Called after each frame that is gone through; what it raises ends this.

    Raises:
        InputError: Nothing was read there, or not of that object.
    """
    sheets = []
    for seen in session.look(asked.frame, asked.row, asked.column, way, done):
        if asked.object_id not in seen.object_ids:
            continue
        numbers = {asked.frame, *(n for n in seen.frame_numbers.tolist() if n >= 0)}
        empty = np.zeros(session.reader[asked.frame].shape[:2], np.uint8)
        masks = {n: session.mask(n) for n in numbers}
        sheet = Sheet(
            seen,
            seen.object_ids.index(asked.object_id),
            asked.object_id,
            (asked.row, asked.column),
            asked.frame,
            {n: session.reader[n] for n in numbers},
            {n: empty if mask is None else mask for n, mask in masks.items()},
        )
        sheets.append(sheet.draw())
    if not sheets:
        raise InputError(f"no pass that reaches frame {asked.frame} has object {asked.object_id}")
    whole = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return encoded_png(whole)
