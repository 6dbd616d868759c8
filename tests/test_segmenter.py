"""Whole clips and streams: ids, sizes, late objects, going on, and what is compiled."""

import io
import logging

import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer import segmenter as module
from stm_jax.infer.segmenter import Segmenter
from tests.lively import IDS, clip, first_mask, lively_model

FRAMES = clip(9)
MASK = first_mask()


@pytest.fixture
def segmenter() -> Segmenter:
    # Frames 0, 3, 6 and the previous one: as many slots as the clip gets when given whole.
    return Segmenter(lively_model(), memorize_every=3, capacity=4)


def stream(segmenter: Segmenter, frames: np.ndarray = FRAMES, soft: bool = False) -> np.ndarray:
    first = segmenter.start(frames[0], MASK, soft=soft)
    return np.stack([first, *(segmenter.step(frame, soft=soft) for frame in frames[1:])])


def test_ids_are_kept(segmenter):
    ids = segmenter.segment(FRAMES, MASK)
    assert ids.shape == FRAMES.shape[:3] and ids.dtype == np.uint8
    np.testing.assert_array_equal(ids[0], MASK)
    assert segmenter.object_ids == IDS
    assert set(np.unique(ids[1:])) == {0, *IDS}


def test_soft_masks_are_what_the_ids_come_from(segmenter):
    ids, soft = segmenter.segment(FRAMES, MASK), segmenter.segment(FRAMES, MASK, soft=True)
    assert soft.shape == (9, 4, *MASK.shape) and soft.dtype == np.float32
    np.testing.assert_array_equal(soft[0], [i == MASK for i in (0, *IDS)])
    np.testing.assert_allclose(soft.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(np.array([0, *IDS])[soft.argmax(axis=1)], ids)


def test_a_stream_gives_what_the_whole_clip_gives(segmenter):
    np.testing.assert_array_equal(stream(segmenter), segmenter.segment(FRAMES, MASK))
    soft = segmenter.segment(FRAMES, MASK, soft=True)
    np.testing.assert_allclose(stream(segmenter, soft=True), soft, atol=1e-5)


def test_a_stream_goes_on_after_a_whole_clip(segmenter):
    expected = stream(segmenter)
    segmenter.segment(FRAMES[:8], MASK)
    np.testing.assert_array_equal(segmenter.step(FRAMES[8]), expected[8])


def test_a_clip_of_one_frame(segmenter):
    np.testing.assert_array_equal(segmenter.segment(FRAMES[:1], MASK), MASK[None])
    assert segmenter.segment(FRAMES[:1], MASK, soft=True).shape == (1, 4, *MASK.shape)


def test_padded_objects_change_nothing(segmenter, monkeypatch):
    expected = stream(segmenter, soft=True)
    monkeypatch.setattr(module, "OBJECT_COUNTS", (5,))
    padded = stream(segmenter, soft=True)
    assert segmenter.state_arrays()["present"].tolist() == [True] * 3 + [False] * 2
    assert padded.shape == expected.shape
    np.testing.assert_allclose(padded, expected, atol=1e-5)


def test_the_padding_of_frames_is_black(segmenter):
    # Sides of 40 and 52 become 48 and 64. A frame that brings its black border along asks the
    # same; padding after normalising would be grey, and every answer different.
    border = [(4, 4), (6, 6)]
    bordered = np.pad(FRAMES[:2], [(0, 0), *border, (0, 0)])
    segmenter.start(bordered[0], np.pad(MASK, border))
    expected = segmenter.step(bordered[1], soft=True)[:, 4:-4, 6:-6]
    found = stream(segmenter, FRAMES[:2], soft=True)[1]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_soft_masks_are_memorised(segmenter):
    segmenter.start(FRAMES[0], MASK)
    soft = segmenter.step(FRAMES[1], soft=True)
    masks = segmenter.state_arrays()["masks"]
    np.testing.assert_array_equal(masks, soft[1:])
    assert ((masks > 0.1) & (masks < 0.9)).any()


LATE = np.zeros_like(MASK)
LATE[22:34, 20:30] = 2
LATE[2:8, 30:44] = 4


def test_a_late_object_is_there_from_its_frame_on(segmenter):
    before = stream(segmenter, FRAMES[:4])
    assert 2 not in before
    estimate = segmenter.state_arrays()["masks"]
    ids = segmenter.add_objects(FRAMES[3], LATE)
    np.testing.assert_array_equal(ids, np.where(LATE > 0, LATE, before[3]))
    assert segmenter.object_ids == (*IDS, 2)
    masks = segmenter.state_arrays()["masks"]  # room for 3 has become room for 5
    assert masks.shape[0] == 5
    np.testing.assert_array_equal(masks[:, LATE == 2].mean(axis=1), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(masks[:, LATE == 4].mean(axis=1), [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(masks[:3, LATE == 0], estimate[:, LATE == 0])
    later = [segmenter.step(frame) for frame in FRAMES[4:]]
    assert 2 in np.unique(later)
    state = segmenter.state_arrays()
    late, first = state["bank_filled"][3], state["bank_filled"][0]
    assert sorted(state["bank_frame_numbers"][late].tolist()) == [3, 6, 7]
    assert sorted(state["bank_frame_numbers"][first].tolist()) == [0, 3, 6, 7]
    assert segmenter.step(FRAMES[0], soft=True).shape == (5, *MASK.shape)


def test_growing_beyond_the_room_is_having_had_the_room(segmenter, monkeypatch):
    def answers() -> list[np.ndarray]:
        segmenter.start(FRAMES[0], MASK)
        segmenter.step(FRAMES[1])
        segmenter.add_objects(FRAMES[2], LATE)
        return [segmenter.step(frame, soft=True) for frame in FRAMES[3:6]]

    grown = answers()
    monkeypatch.setattr(module, "OBJECT_COUNTS", (5,))
    np.testing.assert_allclose(grown, answers(), atol=1e-5)


def stepped(segmenter):
    segmenter.step(FRAMES[1])


def stepped_softly(segmenter):
    segmenter.step(FRAMES[1], soft=True)


def stepped_and_restored(segmenter):
    segmenter.step(FRAMES[1])
    segmenter.restore(segmenter.state_arrays())


def stepped_softly_and_restored(segmenter):
    segmenter.step(FRAMES[1], soft=True)
    segmenter.restore(segmenter.state_arrays())


@pytest.mark.parametrize(
    "before", [stepped, stepped_softly, stepped_and_restored, stepped_softly_and_restored]
)
def test_a_correction_of_the_last_frame_does_not_advance(segmenter, before):
    segmenter.start(FRAMES[0], MASK)
    expected = segmenter.add_objects(FRAMES[1], LATE)  # the next frame: it is segmented first
    expected_next = segmenter.step(FRAMES[2])
    segmenter.start(FRAMES[0], MASK)
    before(segmenter)
    np.testing.assert_array_equal(segmenter.add_objects(FRAMES[1], LATE), expected)
    np.testing.assert_array_equal(segmenter.step(FRAMES[2]), expected_next)
    assert segmenter.state_arrays()["frame_number"] == 2


def test_the_caller_may_reuse_its_arrays(segmenter):
    expected = stream(segmenter, FRAMES[:3])
    expected = [*expected, segmenter.add_objects(FRAMES[3], LATE)]
    frame, mask = FRAMES[0].copy(), MASK.copy()
    found = [segmenter.start(frame, mask).copy()]
    mask[:] = 0
    for index in (1, 2):
        frame[:] = FRAMES[index]
        answer = segmenter.step(frame)
        found.append(answer.copy())
        answer[:] = 0
    frame[:] = FRAMES[3]  # a new frame in an old array is still a new frame
    found.append(segmenter.add_objects(frame, LATE))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_stream_goes_on_exactly_where_it_was_saved(dtype):
    def new() -> Segmenter:
        return Segmenter(lively_model(), memorize_every=3, capacity=4, dtype=dtype)

    segmenter = new()
    stream(segmenter, FRAMES[:6], soft=True)
    file = io.BytesIO()
    np.savez(file, **segmenter.state_arrays())  # no object arrays: they would need pickle
    expected = [segmenter.step(frame, soft=True) for frame in FRAMES[6:]]
    file.seek(0)
    other = new()
    with np.load(file, allow_pickle=False) as arrays:
        other.restore(arrays)
    assert other.object_ids == IDS
    np.testing.assert_array_equal([other.step(f, soft=True) for f in FRAMES[6:]], expected)


def test_a_state_that_lacks_something_is_refused(segmenter):
    stream(segmenter, FRAMES[:2])
    arrays = segmenter.state_arrays()
    del arrays["bank_keys"]
    with pytest.raises(InputError, match="bank_keys"):
        segmenter.restore(arrays)


def test_answers_have_the_size_of_the_frames():
    segmenter = Segmenter(lively_model(), memorize_every=3, short_side=20)
    soft = stream(segmenter, FRAMES[:4], soft=True)
    assert soft.shape == (4, 4, 40, 52)
    assert segmenter.state_arrays()["masks"].shape == (3, 20, 26)
    np.testing.assert_allclose(soft.sum(axis=1), 1.0, atol=1e-5)
    assert segmenter.add_objects(FRAMES[3], LATE).shape == (40, 52)
    assert segmenter.state_arrays()["masks"].shape == (5, 20, 26)


def test_it_is_told_once_that_the_memory_is_full(caplog):
    segmenter = Segmenter(lively_model(), memorize_every=3, capacity=3)
    with caplog.at_level(logging.WARNING, logger="stm_jax"):
        stream(segmenter, FRAMES[:7])
        assert not caplog.records  # frames 0 and 3 stay, 5 is the previous one
        stream(segmenter)
    assert [record.getMessage()[:35] for record in caplog.records] == [
        "the memory is full at frame 6: from"
    ]
    caplog.clear()
    segmenter.segment(FRAMES, MASK)  # a clip given whole gets the memory that it needs
    assert not caplog.records


def test_a_stream_of_known_length_takes_no_more_memory_than_it_needs():
    def slots(length: int | None) -> int:
        roomy.start(FRAMES[0], MASK, length=length)
        return len(roomy.state_arrays()["bank_frame_numbers"])

    roomy = Segmenter(lively_model(), memorize_every=3)
    assert slots(9) == 4  # frames 0, 3, 6 and the previous one
    assert slots(None) == slots(100_000) == module.DEFAULT_CAPACITY
