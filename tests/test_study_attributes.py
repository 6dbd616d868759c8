"""Attributes of objects, told from masks alone: each holds where it is drawn, and only there."""

import pathlib

import numpy as np
import pytest

from stm_jax.data.benchmarks import benchmark_sequences
from stm_jax.study.attributes import ATTRIBUTES, are_alike, attributes_of
from tests.benchmark_trees import write_palette

HEIGHT, WIDTH, FRAMES = 60, 80, 40


def sequence(root: pathlib.Path, draw) -> dict[str, dict[str, float]]:
    """Returns the measures of a video whose masks `draw` gives by the number of the frame."""
    for t in range(FRAMES):
        ids = draw(t)
        write_palette(root / f"Annotations/v/{t:05d}.png", ids.astype(np.uint8))
        write_palette(root / f"JPEGImages/v/{t:05d}.png", ids.astype(np.uint8))
    (only,) = benchmark_sequences(root, "folder")
    return attributes_of(only)


def box(top: float, left: float, height: int = 20, width: int = 16, object_id: int = 1):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[round(top) : round(top) + height, round(left) : round(left) + width] = object_id
    return ids


def held(measures: dict[str, float]) -> set[str]:
    return {each.name for each in ATTRIBUTES if each.holds(measures)}


def shown(gone: range):
    return lambda t: box(10, 10) * (t not in gone)


def cut(covered: range, rows: int):
    return lambda t: box(10, 10, height=20 - rows * (t in covered))


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda t: box(10, 10 + 0.5 * t), set()),
        (lambda t: box(10, 1.9 * t if t < 20 else 1.9 * (39 - t)), set()),  # 1.9 of 100 pixels
        (lambda t: box(10, 2.4 * t if t < 20 else 2.4 * (39 - t)), {"fast motion"}),
        (lambda t: box(10, 10, 6, 7), {"small"}),  # 42 of 4800 pixels
        (lambda t: box(10, 10, 7, 7), set()),  # 49
        (shown(range(10, 12)), set()),
        (shown(range(10, 13)), {"occlusion"}),
        (shown(range(10, 15)), {"occlusion", "absence"}),
        (cut(range(10, 13), 11), {"occlusion"}),
        (cut(range(10, 13), 9), set()),
        (cut(range(10, 12), 11), set()),
        (lambda t: np.maximum(box(10, 10), box(10, 50, object_id=2)), {"look-alikes"}),
        (lambda t: np.maximum(box(10, 10), box(10, 50, 20, 7, object_id=2)), set()),  # too small
        (lambda t: np.maximum(box(10, 10), box(40, 30, 8, 40, object_id=2)), set()),  # other shape
        (
            lambda t: np.maximum(box(10, 10), box(10, 50, object_id=2) * (t < 9)),
            set(),  # in 9 of 40 frames
        ),
    ],
)
def test_an_attribute_holds_where_its_definition_says(tmp_path, draw, expected):
    assert held(sequence(tmp_path, draw)["1"]) == expected


def test_measures_begin_where_the_object_does(tmp_path):
    def draw(t: int) -> np.ndarray:
        return np.maximum(box(0, 0, 4, 4), box(30, 40, object_id=2) * (t >= 12))

    measures = sequence(tmp_path, draw)["2"]
    assert measures == {"area": 320 / 4800, "motion": 0.0, "hidden": 0, "gone": 0, "alike": 0.0}


def test_shapes_are_compared_wherever_they_lie():
    disk = np.hypot(*np.mgrid[-9:10, -9:10]) < 9
    assert are_alike(disk, np.pad(disk, ((3, 0), (0, 5))))
    assert are_alike(disk, np.ones((16, 16), bool))  # 0.82 of their union
    assert not are_alike(disk, np.ones((5, 50), bool))
    assert not are_alike(disk, disk[:0])
