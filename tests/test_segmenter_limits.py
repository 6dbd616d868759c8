"""What a Segmenter refuses, and that it compiles once."""

import gc

import jax
import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer import stream
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory.rules.fifo import Fifo
from stm_jax.memory.stores.xmem import XMem
from stm_jax.runtime.compile_watch import watch_compilation
from tests.lively import clip, first_mask, lively_model

FRAMES = clip(2)
MASK = first_mask()


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(lively_model(), memorize_every=3, capacity=4)


@pytest.mark.parametrize(
    "frame, mask, message",
    [
        (FRAMES[0], np.zeros_like(MASK), "the first mask is empty"),
        (FRAMES[0], MASK[:30], "a mask of 52x30 for frames of 52x40"),
        (FRAMES[0], MASK[None], r"a mask must be \(H, W\) uint8 ids, not \(1, 40, 52\)"),
        (FRAMES[0], MASK.astype(np.int64), r"not \(40, 52\) int64"),
        (FRAMES[0], MASK > 0, r"not \(40, 52\) bool"),
        (FRAMES[0], {1: MASK}, "not a dict"),
        (FRAMES[0], [[1, 2], [3]], "not a ragged list"),
        (FRAMES[0][..., :2], MASK, r"a frame must be \(H, W, 3\) uint8, not \(40, 52, 2\)"),
        (FRAMES[0] / 255, MASK, "float64"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(segmenter, frame, mask, message):
    with pytest.raises(InputError, match=message):
        segmenter.start(frame, mask)
    with pytest.raises(InputError, match=message):
        segmenter.segment(frame[None], mask)
    with pytest.raises(InputError, match="no stream has begun"):
        segmenter.step(FRAMES[0])


@pytest.mark.parametrize("frames", [FRAMES[0], FRAMES[:0]])
def test_a_clip_that_is_none_is_refused(segmenter, frames):
    with pytest.raises(InputError, match="frames must be"):
        segmenter.segment(frames, MASK)


def test_frames_of_several_sizes_are_refused(segmenter):
    with pytest.raises(InputError, match="all of one size"):
        segmenter.segment([FRAMES[0], FRAMES[1][:30]], MASK)


def test_there_is_nothing_to_do_before_a_start(segmenter):
    calls = {
        "step": lambda: segmenter.step(FRAMES[0]),
        "add_objects": lambda: segmenter.add_objects(FRAMES[0], MASK),
        "state_arrays": segmenter.state_arrays,
    }
    for call in calls.values():
        with pytest.raises(InputError, match=r"no stream has begun; call start\(frame, mask\)"):
            call()


def test_a_frame_of_another_size_is_refused_and_the_stream_goes_on(segmenter):
    segmenter.start(FRAMES[0], MASK)
    with pytest.raises(InputError, match="a frame of 52x30 in a video of 52x40"):
        segmenter.step(FRAMES[1][:30])
    with pytest.raises(InputError, match="a mask of 52x40 for frames of 52x30"):
        segmenter.add_objects(FRAMES[1][:30], MASK)
    with pytest.raises(InputError, match="float64"):
        segmenter.step(FRAMES[1] / 255)
    assert segmenter.state_arrays()["frame_number"] == 0
    assert segmenter.step(FRAMES[1]).shape == MASK.shape


@pytest.mark.parametrize(
    "options, message",
    [
        ({"memorize_every": 0}, "memorize_every must be at least 1, not 0"),
        ({"short_side": 15}, "the short side must be at least 16 pixels and at most 8192, not 15"),
        ({"capacity": 1}, "the capacity must be at least 2 frames, not 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Segmenter(lively_model(), **options)


def compiled() -> np.ndarray:
    functions = (stream.advance, stream.advance_clip)
    return np.array([function._cache_size() for function in functions])


def test_a_stream_compiles_once_while_its_memory_grows():
    segmenter = Segmenter(lively_model())
    frames, mask = clip(20, 24, 20), first_mask(24, 20)  # a size that no other test has
    before = compiled()
    segmenter.start(frames[0], mask)
    for t in range(1, 300):
        segmenter.step(frames[t % 20])
    numbers = segmenter.state_arrays()["bank_frame_numbers"]
    assert sorted(numbers[numbers >= 0].tolist()) == [*range(0, 299, 5), 298]
    np.testing.assert_array_equal(compiled() - before, [1, 0])


@pytest.mark.parametrize(
    "memory", [Fifo(3, every=2), XMem(2, 2, 4, prototypes=3, elements=9)], ids=["fifo", "xmem"]
)
def test_a_long_stream_holds_as_many_arrays_as_a_short_one(memory):
    segmenter = Segmenter(lively_model(), memory=memory)
    frames, held = clip(20, 24, 20), []
    with watch_compilation() as compilation:
        segmenter.start(frames[0], first_mask(24, 20))
        for t in range(1, 61):
            segmenter.step(frames[t % 20])
            if t in (20, 60):  # the memory is full
                gc.collect()
                held.append(sorted(array.nbytes for array in jax.live_arrays()))
    assert held[0] == held[1]
    assert compilation.programs == 1  # of whatever size, the smallest included


def test_clips_of_about_the_same_length_share_a_program():
    segmenter = Segmenter(lively_model())
    frames, mask = clip(14, 24, 20), first_mask(24, 20)
    before = compiled()
    answers = {length: segmenter.segment(frames[:length], mask) for length in (10, 11, 14)}
    np.testing.assert_array_equal(compiled() - before, [0, 1])
    for length, ids in answers.items():
        np.testing.assert_array_equal(ids, answers[14][:length])  # nothing looks ahead
