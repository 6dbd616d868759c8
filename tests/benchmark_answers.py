"""Predictions of a benchmark's truth, with a rectangle of other ids, and their scores."""

import functools
import pathlib

import numpy as np
from PIL import Image

from stm_jax.eval.scoring import score_predictions
from tests.benchmark_trees import write_palette

CORNER = slice(20, 24), slice(0, 4)  # where nothing is
LOWER_LEFT = slice(12, 24), slice(0, 36)

score = functools.partial(score_predictions, strict=True, workers=1)


def paint(masks: pathlib.Path, name: str, value: int, where: tuple[slice, slice]) -> None:
    """Paints a rectangle of a predicted mask."""
    ids = np.array(Image.open(masks / name))
    ids[where] = value
    write_palette(masks / name, ids)
