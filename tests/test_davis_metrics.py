"""J, F and their statistics: answers written out by hand, and those of the official evaluator."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from stm_jax.errors import InputError
from stm_jax.eval import davis


def mask(*rows: str) -> np.ndarray:
    """Returns a bool mask drawn as rows of '#' and '.'."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def square(row: int, column: int) -> np.ndarray:
    """Returns a 4x4 square at a place in an 80x60 image, whose diagonal is exactly 100."""
    image = np.zeros((80, 60), bool)
    image[row : row + 4, column : column + 4] = True
    return image


EMPTY = mask("....", "....", "....")
DOT = mask("....", ".#..", "....")
BAR = mask("....", ".##.", "....")


def test_region_similarity_is_intersection_over_union():
    assert davis.region_similarity(DOT, DOT) == 1.0
    assert davis.region_similarity(DOT, BAR) == 0.5
    assert davis.region_similarity(mask("##.."), mask(".##.")) == 1 / 3
    assert davis.region_similarity(DOT, EMPTY) == 0.0
    assert davis.region_similarity(EMPTY, DOT) == 0.0
    assert davis.region_similarity(EMPTY, EMPTY) == 1.0


@pytest.mark.parametrize(
    ("drawn", "contour"),
    [
        (DOT, mask("##..", "##..", "....")),
        (BAR, mask("###.", "#.#.", "###.")),
    ],
)
def test_boundary_compares_right_below_and_right_below(drawn, contour):
    # BAR: below it, both its pixels differ; the pixel left of it has one right below or right.
    if drawn is BAR:
        contour = mask("###.", "###.", "....")
        contour[1, 1] = True
    np.testing.assert_array_equal(davis.boundary(drawn), contour)
