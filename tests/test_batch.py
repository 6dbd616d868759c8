"""Videos that step together get what each gets alone."""

import concurrent.futures
import dataclasses
import time

import jax
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer.batch import Batch
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.protocol import Memory
from stm_jax.memory.rules.every_nth import EveryNth
from stm_jax.memory.rules.first import First
from stm_jax.memory.stores.xmem import XMem
from tests.lively import IDS, clip, first_mask, lively_model

LENGTH, OBJECTS = 6, 3


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames, the mask of the first, and the mask of a later one with its number."""

    frames: np.ndarray
    first: np.ndarray
    late: tuple[int, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a segmenter knows after a frame."""

    ids: np.ndarray
    masks: np.ndarray
    kept: tuple[int, ...]


def videos() -> list[Video]:
    """Five of different lengths, with one to three objects, some of which come late."""
    mask, scene = first_mask(), clip(LENGTH)
    one, two = mask * (mask == IDS[0]), mask * (mask != IDS[2])
    return [
        Video(scene, mask),
        Video(scene[::-1][:4], two, (2, mask * (mask == IDS[2]))),
        Video(np.roll(scene, 9, axis=1)[:3], one),
        Video(np.roll(scene, 5, axis=2)[:5], one, (1, mask * (mask == IDS[1]))),
        Video(255 - scene[:2], mask),
    ]


def follow(segmenter: Segmenter, video: Video) -> list[Answer]:
    answers = []
    for number, frame in enumerate(video.frames):
        if number == 0:
            ids = segmenter.start(frame, video.first, length=LENGTH, objects=OBJECTS)
        elif video.late is not None and number == video.late[0]:
            ids = segmenter.add_objects(frame, video.late[1])
        else:
            ids = segmenter.step(frame)
        masks = segmenter.state_arrays()["masks"]
        answers.append(Answer(ids, masks, segmenter.kept_frames))
    return answers


def together(batch: Batch, waiting: list[Video]) -> dict[int, list[Answer]]:
    """Follows videos, each segmenter taking the next as soon as it is free."""
    left, found = list(enumerate(waiting)), {}

    def work(place):
        with place as segmenter:
            while left:
                number, video = left.pop(0)
                found[number] = follow(segmenter, video)

    with concurrent.futures.ThreadPoolExecutor(len(batch.segmenters)) as pool:
        list(pool.map(work, batch.segmenters))
    return found


def check_same(alone: list[Answer], beside: list[Answer]) -> None:
    assert len(alone) == len(beside)
    for expected, got in zip(alone, beside, strict=True):
        np.testing.assert_allclose(got.masks, expected.masks, rtol=0, atol=1e-5)
        assert got.kept == expected.kept
        background = 1 - expected.masks.sum(axis=0, keepdims=True)
        best = np.sort(np.concatenate([background, expected.masks]), axis=0)
        tie = best[-1] - best[-2] < 1e-4
        np.testing.assert_array_equal(got.ids[~tie], expected.ids[~tie])
        assert tie.mean() < 0.02


@pytest.mark.parametrize(
    "memory, at_once",
    [
        (EveryNth(2), False),
        (EveryNth(2), True),
        (First(), True),
        (XMem(every=1, fewest_frames=2, most_frames=3, prototypes=4), True),
    ],
)
def test_side_by_side_is_one_by_one(memory: Memory, at_once: bool):
    model, given = lively_model(), videos()
    segmenter = Segmenter(model, memory=memory)
    batch = Batch(model, 3, jax.local_devices()[:1], at_once=at_once, memory=memory)
    found = together(batch, given)
    for number, video in enumerate(given):
        check_same(follow(segmenter, video), found[number])
    # Places have 5 frames; 3 and, in the place of the second, 1; 2 and 4: 6 steps of 3 for 15.
    assert (batch.steps, batch.frames, batch.padded) == (6, 15, 3)
    assert batch.seen(0) is None  # the devices' memory is given back


def test_a_window_follows_the_objects_of_each():
    model, given = lively_model(), videos()[:2]
    found = together(Batch(model, 2, jax.local_devices()[:1], zoom=True), given)
    for number, video in enumerate(given):
        for expected, got in zip(
            follow(Segmenter(model, zoom=True), video), found[number], strict=True
        ):
            np.testing.assert_array_equal(got.ids, expected.ids)
            np.testing.assert_allclose(got.masks, expected.masks, rtol=0, atol=1e-5)


def test_nothing_is_compiled_when_a_place_is_filled_again():
    programs = []

    def note(event: str, start_time: float, end_time: float, **_: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            programs.append(event)

    narrow = [Video(each.frames[:, :, :36], each.first[:, :36]) for each in videos()]
    batch = Batch(lively_model(), 1, jax.local_devices()[:1])
    jax.monitoring.register_event_time_span_listener(note)
    try:
        together(batch, narrow)
    finally:
        jax.monitoring.unregister_event_time_span_listener(note)
    assert len(programs) == 3  # the empty places, what fills one, and the step


def test_the_steps_of_others_are_not_ones_own_time():
    batch = Batch(lively_model(), 3, jax.local_devices()[:1])

    def work(place) -> float:
        begun = time.perf_counter()
        with place as segmenter:
            follow(segmenter, videos()[0])
        return time.perf_counter() - begun - place.waited

    begun = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        own = list(pool.map(work, batch.segmenters))
    seconds = time.perf_counter() - begun
    assert 0 < sum(own) < 2 * seconds  # three times as much, if waiting were one's own


def test_where_one_fails_all_others_are_told_and_none_waits():
    batch = Batch(lively_model(), 2, jax.local_devices()[:1])

    def work(place):
        with place as segmenter:
            scene = clip(LENGTH)
            segmenter.start(scene[0], first_mask(), length=LENGTH)
            for number, frame in enumerate(scene[1:]):
                if place is batch.segmenters[0] and number == 2:
                    raise InputError("a frame cannot be read")
                segmenter.step(frame)
            return True

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failing, going_on = [pool.submit(work, place) for place in batch.segmenters]
        assert going_on.result(timeout=120)
        with pytest.raises(InputError, match="a frame cannot be read"):
            failing.result()
    assert batch.steps == 5 and batch.frames == 7


def test_another_program_is_refused_in_one_line():
    batch = Batch(lively_model(), 2, jax.local_devices()[:1])
    first, second = batch.segmenters
    first.start(clip(1)[0], first_mask(), length=LENGTH, objects=OBJECTS)
    with pytest.raises(InputError, match="need one size, one length and one room for objects"):
        second.start(clip(1)[0], first_mask(), length=LENGTH, objects=OBJECTS + 2)
    with pytest.raises(InputError, match="answered with ids: leave soft out"):
        first.step(clip(1)[0], soft=True)
