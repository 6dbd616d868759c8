"""Streams that are corrected: erased, removed and pinned, with the ids kept."""

import io

import numpy as np
import pytest

from stm_jax.errors import InputError
from stm_jax.infer import stream as steps
from stm_jax.infer.segmenter import Segmenter
from stm_jax.memory import AfbUrr, Diverse, EveryNth, Fifo, LeastUsed, Previous, SwiftNet, XMem
from tests.lively import IDS, clip, first_mask, lively_model

FRAMES = clip(9)
MASK = first_mask()
NONE = np.zeros_like(MASK)


@pytest.fixture
def segmenter() -> Segmenter:
    return Segmenter(lively_model(), memorize_every=3, capacity=4)


def begun(segmenter: Segmenter, frames: int = 3) -> list[np.ndarray]:
    return [segmenter.start(FRAMES[0], MASK), *(segmenter.step(f) for f in FRAMES[1:frames])]


def test_a_zero_erases_what_the_mask_speaks_of(segmenter):
    estimate = begun(segmenter)[-1]
    assert set(np.unique(estimate)) == {0, *IDS}
    soft = segmenter.state_arrays()["masks"]
    mask = NONE.copy()
    mask[2:8, 30:44] = 4
    ids = segmenter.correct(FRAMES[2], mask, objects=[4, 9])
    np.testing.assert_array_equal(ids, np.where(mask == 4, 4, np.where(estimate == 1, 1, 0)))
    masks = segmenter.state_arrays()["masks"]
    np.testing.assert_array_equal(masks[1], mask == 4)
    assert not masks[2].any()
    np.testing.assert_array_equal(masks[0], np.where(mask == 4, 0, soft[0]))
    assert segmenter.state_arrays()["given"]


def test_the_whole_frame_may_be_said(segmenter):
    begun(segmenter)
    np.testing.assert_array_equal(segmenter.correct(FRAMES[2], NONE), NONE)
    assert not segmenter.state_arrays()["masks"].any()
    assert segmenter.object_ids == IDS
    assert segmenter.step(FRAMES[3], soft=True).shape[0] == 4  # they may come back


def test_a_correction_of_all_is_a_new_frame_with_a_given_mask(segmenter):
    """The masks that go into the memory are the given ones, as those of a first frame."""
    begun(segmenter)
    segmenter.correct(FRAMES[2], MASK)
    masks = segmenter.state_arrays()["masks"]
    np.testing.assert_array_equal(masks, [i == MASK for i in IDS])


def test_a_first_frame_need_not_show_an_object(segmenter):
    only = np.where(MASK == 4, 4, 0).astype(np.uint8)
    segmenter.start(FRAMES[0], only, object_ids=IDS)
    assert segmenter.object_ids == IDS and segmenter.state_arrays()["present"].all()
    assert segmenter.step(FRAMES[1], soft=True).shape[0] == 4
    segmenter.start(FRAMES[0], NONE, object_ids=[7])
    assert segmenter.object_ids == (7,)
    with pytest.raises(InputError, match="empty"):
        segmenter.start(FRAMES[0], NONE)


def test_a_removed_object_leaves_the_others_as_if_it_had_not_been(segmenter):
    """Not their masks, which it had competed with; but nothing of it is left in any array."""
    before = begun(segmenter)[-1]
    segmenter.remove_objects([4])
    assert segmenter.object_ids == (1, 9)
    arrays = segmenter.state_arrays()
    np.testing.assert_array_equal(arrays["last_ids"], np.where(before == 4, 0, before))
    assert arrays["present"].tolist() == [True, True, False]
    for name in ("masks", "bank_keys", "bank_values", "bank_filled", "bank_region"):
        assert len(arrays[name]) == 3 and not arrays[name][2].any(), name
        assert arrays[name][1].any(), name
    assert set(np.unique(segmenter.step(FRAMES[3]))) <= {0, 1, 9}
    with pytest.raises(InputError, match=r"has objects \(1, 9\), not \[4\]"):
        segmenter.remove_objects([4])


@pytest.mark.parametrize(
    "memory",
    [EveryNth(3), Fifo(3, every=2), LeastUsed(3, every=2), XMem(every=2), AfbUrr(), SwiftNet(2)],
    ids=lambda memory: type(memory).__name__,
)
def test_removing_and_adding_for_ever_takes_no_memory_and_no_program(memory):
    segmenter = Segmenter(lively_model(), memory=memory, capacity=4)
    begun(segmenter)
    taken, programs = segmenter.memory_bytes, steps.advance._cache_size()
    for turn in range(5):
        new = 100 + turn
        segmenter.remove_objects([segmenter.object_ids[turn % 3]])
        mask = np.where(MASK == 4, new, 0).astype(np.uint8)
        segmenter.add_objects(FRAMES[3 + turn], mask)
        assert segmenter.object_ids[-1] == new and len(segmenter.object_ids) == 3
        assert (segmenter.correct(FRAMES[3 + turn], mask, [new]) == new).any()
    assert segmenter.memory_bytes == taken
    assert steps.advance._cache_size() == programs


def test_all_objects_may_go_and_others_come(segmenter):
    begun(segmenter)
    segmenter.remove_objects(IDS)
    assert segmenter.object_ids == ()
    assert not segmenter.step(FRAMES[3]).any()
    segmenter.add_objects(FRAMES[4], MASK)
    assert segmenter.object_ids == IDS
    assert segmenter.step(FRAMES[5]).any()


RULES = [
    EveryNth(2),
    Previous(),
    Fifo(2, every=1),
    Diverse(3, every=2),
    XMem(every=1, fewest_frames=2, most_frames=4, prototypes=6, elements=12),
    AfbUrr(),
    SwiftNet(2),
]


@pytest.mark.parametrize("memory", RULES, ids=lambda memory: type(memory).__name__)
def test_a_pinned_frame_stays_with_any_rule(memory):
    segmenter = Segmenter(lively_model(), memory=memory, capacity=3)
    begun(segmenter, 2)
    segmenter.pin(FRAMES[8], MASK, 8)
    keys = segmenter.state_arrays()["bank_frames_keys"]
    found = [segmenter.step(frame, soft=True) for frame in FRAMES[2:8]]
    arrays = segmenter.state_arrays()
    assert arrays["bank_frames_frame_numbers"].tolist() == [8, -1]
    np.testing.assert_array_equal(arrays["bank_frames_keys"], keys)
    assert all(np.isfinite(each).all() for each in found)
    without = Segmenter(lively_model(), memory=memory, capacity=3)
    begun(without, 2)
    assert np.abs(without.step(FRAMES[2], soft=True) - found[0]).max() > 1e-3  # it is read


def test_a_pinned_frame_is_read_as_one_that_the_rule_keeps():
    """Frame 0 in the memory twice over: pinned before frame 1, or kept, is the same to a read."""
    kept = Segmenter(lively_model(), memory=EveryNth(1), capacity=8)
    begun(kept, 1)
    expected = kept.step(FRAMES[1], soft=True)
    pinned = Segmenter(lively_model(), memory=EveryNth(1), capacity=8)
    pinned.start(FRAMES[5], MASK)
    pinned.remove_objects(IDS)  # so that frame 5 is in no object's memory
    pinned.add_objects(FRAMES[0], MASK)
    np.testing.assert_allclose(pinned.step(FRAMES[1], soft=True), expected, atol=1e-5)
    pinned.start(FRAMES[0], MASK)
    pinned.pin(FRAMES[0], MASK, 0)
    np.testing.assert_allclose(pinned.step(FRAMES[1], soft=True), expected, atol=1e-5)


def test_of_objects_that_a_pinned_mask_does_not_speak_of_it_is_not_in_memory(segmenter):
    begun(segmenter)
    only = np.where(MASK == 4, 4, 0).astype(np.uint8)
    segmenter.pin(FRAMES[8], only, 8, objects=[9])
    filled = segmenter.state_arrays()["bank_frames_filled"]
    assert filled[:, 0].tolist() == [False, True, True] and not filled[:, 1].any()
    segmenter.pin(FRAMES[8], MASK, 8)  # in place of it
    arrays = segmenter.state_arrays()
    assert arrays["bank_frames_frame_numbers"].tolist() == [8, -1]
    assert arrays["bank_frames_filled"][:, 0].all()
    segmenter.remove_objects(IDS)
    assert segmenter.state_arrays()["bank_frames_frame_numbers"].tolist() == [-1, -1]


def test_pinned_frames_compile_for_rounded_numbers_and_go_with_the_stream(segmenter):
    begun(segmenter)
    before = steps.advance._cache_size()
    for number in range(4):
        segmenter.pin(FRAMES[number], MASK, number)
        segmenter.step(FRAMES[3])
    assert steps.advance._cache_size() - before == 2  # room for 2, and for 4
    numbers = segmenter.state_arrays()["bank_frames_frame_numbers"]
    assert numbers.tolist() == [0, 1, 2, 3]
    segmenter.start(FRAMES[0], MASK)
    assert "bank_frames_keys" not in segmenter.state_arrays()


def test_a_stream_with_pinned_frames_goes_on_exactly_where_it_was_saved(segmenter):
    begun(segmenter)
    segmenter.pin(FRAMES[8], MASK, 8)
    segmenter.step(FRAMES[3])
    file = io.BytesIO()
    np.savez(file, **segmenter.state_arrays())
    expected = segmenter.step(FRAMES[4], soft=True)
    file.seek(0)
    other = Segmenter(lively_model(), memorize_every=3, capacity=4)
    with np.load(file, allow_pickle=False) as arrays:
        other.restore(dict(arrays))
    np.testing.assert_array_equal(other.step(FRAMES[4], soft=True), expected)


def test_where_a_read_went_among_pinned_frames(segmenter):
    begun(segmenter)
    segmenter.pin(FRAMES[8], MASK, 8)
    seen = segmenter.look(FRAMES[3], 20, 20)
    assert seen.pinned == 2 and seen.frame_numbers.tolist() == [8, -1, 2, 0, -1, -1]
    np.testing.assert_allclose(seen.weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)
    assert seen.weights[:, 0].sum() > 0 and not seen.weights[:, 1].any()
