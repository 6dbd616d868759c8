"""Averages of mirrored and resized streams, against averages made by hand."""

import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer.averaged import AveragedSegmenter
from stm_jax.infer.segmenter import Segmenter
from tests.lively import IDS, clip, first_mask, lively_model

FRAMES = clip(5)
MASK = first_mask()
LATE = np.zeros_like(MASK)
LATE[22:34, 20:30] = 2
LATE[2:8, 30:44] = 4


def alone(mirrored: bool = False, short_side: int | None = None) -> list[np.ndarray]:
    """The soft masks of frames 1 to 4 in one stream, with new masks given at frame 2."""
    turn = np.s_[:, ::-1] if mirrored else np.s_[:, :]
    segmenter = Segmenter(lively_model(), memorize_every=3, short_side=short_side)
    segmenter.start(FRAMES[0][turn], MASK[turn], length=5, objects=4)
    answers = []
    for index in range(1, 5):
        answers.append(segmenter.step(FRAMES[index][turn], soft=True)[..., *turn])
        if index == 2:
            segmenter.add_objects(FRAMES[2][turn], LATE[turn])
    return answers


def by_hand(*streams: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Mean probabilities and ids of frames 1 to 4."""
    soft = [np.mean(answers, axis=0) for answers in zip(*streams, strict=True)]
    ids = [np.array((0, *IDS, 2), np.uint8)[each.argmax(axis=0)] for each in soft]
    ids[1] = np.where(LATE > 0, LATE, ids[1])
    return soft, ids


def averaged(**options) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The same from the class, in two runs: probabilities, then ids."""
    segmenter = AveragedSegmenter(lively_model(), memorize_every=3, **options)
    results = []
    for soft in (True, False):
        first = segmenter.start(FRAMES[0], MASK, length=5, objects=4)
        np.testing.assert_array_equal(first, MASK)
        answers = [segmenter.step(FRAMES[1], soft=soft)]
        if soft:
            answers.append(segmenter.step(FRAMES[2], soft=True))
            segmenter.add_objects(FRAMES[2], LATE)
        else:
            answers.append(segmenter.add_objects(FRAMES[2], LATE))  # it is segmented first
        answers += [segmenter.step(frame, soft=soft) for frame in FRAMES[3:]]
        results.append(answers)
    assert segmenter.object_ids == (*IDS, 2) and segmenter.kept_frames == (0, 3)
    return results[0], results[1]


def check(found, expected) -> None:
    for answer, hand_made in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(answer, hand_made, atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1])


def test_flip_is_the_mean_of_the_two_mirror_images():
    plain, mirrored = alone(), alone(mirrored=True)
    assert max(np.abs(a - b).max() for a, b in zip(plain, mirrored, strict=True)) > 0.05
    check(averaged(flip=True), by_hand(plain, mirrored))


def test_scales_are_factors_of_the_short_side():
    check(averaged(scales=(1.0, 0.5)), by_hand(alone(), alone(short_side=20)))


def test_one_stream_is_the_segmenter_alone():
    check(averaged(), by_hand(alone()))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(InputError, match=r"a scale is 0: give a number above 0, at most 16"):
        AveragedSegmenter(lively_model(), scales=(1, 0))
    with pytest.raises(InputError, match="no stream has begun"):
        AveragedSegmenter(lively_model()).step(FRAMES[0])
