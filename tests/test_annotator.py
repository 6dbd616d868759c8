"""A session over a video with a network: both ways, fused, corrected, certain, in memory."""

from pathlib import Path

import numpy as np
import pytest

from stm_jax import memory
from stm_jax.annotate import fusion
from stm_jax.annotate.annotations import annotation
from stm_jax.annotate.annotator import Way
from stm_jax.annotate.fusion import Certainty, Soft, certainties, fused, sorted_by_id
from stm_jax.errors import InputError
from stm_jax.infer import stream as steps
from stm_jax.infer.segmenter import Segmenter
from tests.annotated_clip import (
    COUNT,
    FRAMES,
    MASK,
    OPTIONS,
    OTHER,
    answers,
    as_folder,
    session,
    stream,
)
from tests.lively import IDS, lively_model

NONE = np.zeros_like(MASK)


@pytest.fixture
def video(tmp_path) -> Path:
    return as_folder(FRAMES, tmp_path / "video")


MEMORIES = [memory.EveryNth(3), memory.Annotated(4, 2), memory.Previous(), memory.XMem(every=2)]


@pytest.mark.parametrize("rule", MEMORIES, ids=lambda rule: type(rule).__name__)
def test_both_ways_from_the_middle_are_two_streams_to_the_bit(video, rule):
    with session(video, memory=rule) as both:
        both.annotate(4, MASK)
        found = answers(both)
        assert sorted(found) == list(range(COUNT))
        ahead, back = (
            stream(FRAMES[4:], MASK, memory=rule),
            stream(FRAMES[4::-1], MASK, memory=rule),
        )
        for frame, planes in [
            *zip(range(5, 9), ahead, strict=True),
            *zip((3, 2, 1, 0), back, strict=True),
        ]:
            np.testing.assert_array_equal(found[frame].planes, planes)
            np.testing.assert_array_equal(both.mask(frame), np.array([0, *IDS])[planes.argmax(0)])
        np.testing.assert_array_equal(both.mask(4), MASK)
    mirrored = as_folder(FRAMES[::-1], video.parent / "mirrored")
    with session(mirrored, "mirrored-out", memory=rule) as both:
        both.annotate(4, MASK)
        for frame, soft in answers(both).items():
            np.testing.assert_array_equal(soft.planes, found[COUNT - 1 - frame].planes)


def test_time_has_no_direction(video):
    """Masks at both ends, and one in between of one object: mirrored, the answers are mirrored."""
    given = {0: (MASK, None), 4: (np.where(OTHER == 4, 4, 0), [4]), 8: (OTHER, None)}
    with session(video) as one:
        for frame, each in given.items():
            one.annotate(frame, *each)
        expected = answers(one)
    mirrored = as_folder(FRAMES[::-1], video.parent / "mirrored")
    with session(mirrored, "mirrored-out") as other:
        for frame, each in given.items():
            other.annotate(COUNT - 1 - frame, *each)
        for frame, soft in answers(other).items():
            there = expected[COUNT - 1 - frame]
            assert soft.ids == there.ids
            np.testing.assert_array_equal(soft.planes, there.planes)


def test_one_direction_alone(video):
    with session(video) as one:
        one.annotate(4, MASK)
        assert sorted(answers(one, Way("forward"))) == [4, 5, 6, 7, 8]
        assert one.mask(3) is None and one.states(Way("forward"))[3] == "nothing"
        assert sorted(answers(one, Way("backward"))) == [0, 1, 2, 3]  # 4 is there


def test_between_annotated_frames_both_are_in_memory_and_both_sides_answer(video):
    with session(video) as one:
        one.annotate(0, MASK)
        alone = answers(one)
        one.annotate(8, OTHER)
        assert one.states() == ["annotated", *["stale"] * 7, "annotated"]
        first, seen = {}, {}
        for done in one.propagate():
            (seen if done.final else first)[done.frame] = done.soft
        assert sorted(first) == sorted(seen.keys() - {8}) == list(range(1, 8))
        forward = Segmenter(lively_model(), **OPTIONS)
        forward.start(FRAMES[0], MASK, length=COUNT)
        forward.pin(FRAMES[8], OTHER, 8)
        backward = Segmenter(lively_model(), **OPTIONS)
        backward.start(FRAMES[8], OTHER, length=COUNT)
        backward.pin(FRAMES[0], MASK, 0)
        ahead = [forward.step(frame, soft=True) for frame in FRAMES[1:8]]
        back = [backward.step(frame, soft=True) for frame in FRAMES[7:0:-1]][::-1]
        for frame in range(1, 8):
            np.testing.assert_array_equal(first[frame].planes, ahead[frame - 1])
            assert np.abs(ahead[frame - 1] - alone[frame].planes).max() > 1e-3
            both = [sorted_by_id(IDS, planes[frame - 1]) for planes in (ahead, back)]
            weights = dict.fromkeys((0, *IDS), (8 - frame) / 8)
            np.testing.assert_array_equal(seen[frame].planes, fused(*both, weights).planes)


def test_a_correction_changes_nothing_beyond_its_second_neighbours(video):
    with session(video) as one:
        for frame, mask in ((1, MASK), (3, OTHER), (5, MASK), (7, OTHER)):
            one.annotate(frame, mask)
        answers(one)
        files = [one._folder.mask(t) for t in range(COUNT)]
        before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
        one.annotate(4, np.roll(OTHER, 2, axis=0))
        assert [t for t, state in enumerate(one.states()) if state == "stale"] == [2, 6]
        assert sorted(answers(one)) == [2, 4, 6]
        for t in {*range(COUNT)} - {2, 4, 6}:
            assert (files[t].read_bytes(), files[t].stat().st_mtime_ns) == before[t]
        np.testing.assert_array_equal(one.mask(4), np.roll(OTHER, 2, axis=0))
        one.unannotate(4)
        assert [t for t, state in enumerate(one.states()) if state == "stale"] == [2, 4, 6]


def test_what_is_taken_back_in_time_makes_nothing_stale(video):
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
        one.annotate(5, OTHER)
        one.annotate(0, OTHER)
        assert "stale" in one.states()
        one.unannotate(5)
        one.annotate(0, MASK)
        assert one.states() == ["annotated", *["done"] * 8]
        assert not answers(one)


def test_an_erased_object_may_come_back(video):
    """Where it is said to be gone it is gone; the frame that showed it last is still in memory."""
    with session(video) as one:
        one.annotate(0, MASK)
        one.annotate(4, np.where(MASK == 4, 0, MASK))
        found = answers(one)
        assert not (one.mask(4) == 4).any()
        assert all(4 in found[t].ids for t in range(COUNT))
        list(zip(range(6), one.propagate(), strict=False))
        alone = Segmenter(lively_model(), **OPTIONS)
        alone.start(FRAMES[4], np.where(MASK == 4, 0, MASK), length=COUNT, object_ids=IDS)
        alone.pin(FRAMES[0], MASK, 0)
        np.testing.assert_array_equal(found[5].planes, alone.step(FRAMES[5], soft=True))


def test_a_late_object_leaves_the_frames_before_it_alone(video):
    """Forward, as a stream to which it is added; the others are not said to be gone."""
    late = np.where(OTHER == 9, 7, 0).astype(np.uint8)
    with session(video) as one:
        one.annotate(0, MASK)
        before = answers(one, Way("forward"))
        one.annotate(5, late, [7])
        assert [t for t, s in enumerate(one.states(Way("forward"))) if s == "stale"] == [6, 7, 8]
        after = answers(one, Way("forward"))
        assert sorted(after) == [5, 6, 7, 8] and after[8].ids == (0, 1, 4, 7, 9)
        estimate = np.where(late == 7, 0, before[5].planes[1:])
        np.testing.assert_allclose(after[5].planes[[1, 2, 4]], estimate, atol=1e-5)
        assert (one.mask(5)[late == 7] == 7).all()
        assert 7 in answers(one)[1].ids  # both ways it is looked for before, too


def test_a_range_and_a_step(video):
    with session(video) as one:
        one.annotate(2, MASK)
        assert sorted(answers(one, Way(start=4, end=6))) == [3, 4, 5, 6]  # 3 is on the way
        assert sorted(answers(one, Way(step=3))) == [0, 2, 3, 6]
        found = stream(FRAMES[[2, 3, 6]], MASK)
        np.testing.assert_array_equal(one.mask(6), np.array([0, *IDS])[found[-1].argmax(0)])
        with pytest.raises(InputError, match="no frames are from 5 to 9 by 1"):
            next(one.propagate(Way(start=5, end=9)))


def test_a_stream_goes_on_only_with_its_own_state(video):
    with session(video) as one:
        one.annotate(4, MASK)
        assert sorted(answers(one, Way("forward", end=6))) == [4, 5, 6]
        assert sorted(answers(one, Way("backward", start=3))) == [3]  # its state is the saved one
        found = answers(one, Way("forward"))
        assert sorted(found) == [7, 8]
        for planes, frame in zip(stream(FRAMES[4:], MASK)[2:], (7, 8), strict=True):
            np.testing.assert_array_equal(found[frame].planes, planes)


def test_what_is_in_memory_and_where_a_read_went(video):
    with session(video) as one:
        one.annotate(2, MASK)
        one.annotate(8, OTHER)
        assert one.in_memory == ()
        seen = {}
        for done in one.propagate():
            if not done.final:
                seen[done.frame] = one.in_memory
        assert seen[3] == (2, 3, 8)
        assert seen[6] == (2, 5, 6, 8)  # 2, 5, every third; 6, the last; 8, annotated
        forward, backward = one.look(6, 20, 20)
        assert set(forward.frame_numbers.tolist()) == {-1, 8, 2, 5}
        assert set(backward.frame_numbers.tolist()) == {-1, 2, 8, 7}
        np.testing.assert_allclose(forward.weights.sum(axis=(1, 2, 3)), 1, atol=1e-5)
        with pytest.raises(InputError, match="frame 2 is given"):
            one.look(2, 0, 0)


def test_few_programs(video):
    with session(video, "one", memorize_every=4) as one:
        one.annotate(0, MASK)
        answers(one)
        before = steps.advance._cache_size()
        one.annotate(8, OTHER)
        one.annotate(4, np.where(MASK == 4, 4, 0), [4])
        one.annotate(6, MASK)
        answers(one)
        one.remove_object(9)
        answers(one)
        assert steps.advance._cache_size() - before == 2  # with pinned frames; of 2 objects


def test_certainty():
    planes = np.zeros((3, 8, 8), np.float32)
    planes[1, 2:6, 2:6] = 0.9
    planes[1, 3:5, 3:5] = 1.0
    planes[2] = 0.05 * (planes[1] == 0)
    planes[0] = 1 - planes[1:].sum(axis=0)
    found = certainties(Soft((0, 4, 7), planes))
    assert found[4].inside == pytest.approx((12 * 0.8 + 4 * 1.0) / 16, abs=1e-4)
    assert found[4].edge == pytest.approx((12 * 0.8 + 20 * 0.9) / 32, abs=1e-4)
    assert found[7] == Certainty(0.9, 0.9)  # nowhere; at most 0.05 anywhere
    planes[2, 0, 0], planes[0, 0, 0] = 0.45, 0.55
    assert certainties(Soft((0, 4, 7), planes))[7].inside == pytest.approx(0.1, abs=1e-4)


def test_the_least_certain_frames_are_to_be_looked_at(video):
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
        order = one.to_look_at(COUNT)
        assert sorted(order) == list(range(1, COUNT))
        least = [min(min(each) for each in one.certainty(t).values()) for t in order]
        assert least == sorted(least) and least[0] < least[-1]
        one.annotate(order[0], MASK)
        assert order[0] not in one.to_look_at(COUNT)


def test_fused_answers():
    rng = np.random.default_rng(0)
    one, other = (
        rng.dirichlet([0.3] * 3, (5, 4)).transpose(2, 0, 1).astype(np.float32) for _ in "12"
    )
    forward, backward = Soft((0, 2, 5), one), Soft((0, 2, 5), other)
    near = fused(forward, backward, dict.fromkeys((0, 2, 5), 0.9)).planes
    np.testing.assert_allclose(near.sum(axis=0), 1, atol=1e-6)
    p, q = (np.log((np.round(x * 255) + 0.5) / 256) for x in (one, other))
    odds = 0.9 * (p[1] - p[2]) + 0.1 * (q[1] - q[2])
    np.testing.assert_allclose(np.log(near[1] / near[2]), odds, atol=1e-4)
    mixed = fused(forward, Soft((0, 5), other[[0, 2]]), {0: 0.5, 2: 1.0, 5: 0.5})
    assert mixed.ids == (0, 2, 5)
    sure = np.zeros((3, 1, 1), np.float32)
    sure[1] = 1
    unsure = np.full((3, 1, 1), 1 / 3, np.float32)
    both = fused(Soft((0, 2, 5), sure), Soft((0, 2, 5), unsure), dict.fromkeys((0, 2, 5), 0.2))
    assert both.labels == 2


def test_a_given_mask_is_certain_and_leaves_the_rest_to_the_estimate():
    mask = np.array([[2, 0, 0]], np.uint8)
    planes = np.array([[[0.1, 0.2, 0.1]], [[0.2, 0.2, 0.8]], [[0.7, 0.6, 0.1]]], np.float32)
    soft = fusion.given(Soft((0, 2, 5), planes), annotation(mask, [2]))
    assert soft.ids == (0, 2, 5)
    np.testing.assert_allclose(
        soft.planes[:, 0], [[0, 0.4, 0.9], [1, 0, 0], [0, 0.6, 0.1]], atol=1e-6
    )
    np.testing.assert_array_equal(soft.labels, [[2, 5, 0]])


def test_objects(video):
    with session(video) as one:
        assert one.add_object("rabbit") == 1
        assert one.add_object("bird", 9) == 9
        with pytest.raises(InputError, match="no room for an object 9"):
            one.add_object("", 9)
        one.annotate(3, np.where(MASK == 9, 9, 0))
        assert one.annotations[3].objects == {1, 9}  # 1 is said not to be there
        one.rename_object(9, "big bird")
        assert one.objects == {1: "rabbit", 9: "big bird"}
        one.remove_object(9)
        assert one.annotations[3].objects == {1} and not one.annotations[3].mask.any()
        one.remove_object(1)
        assert not one.annotations and not one.objects
        with pytest.raises(InputError, match="no object 1"):
            one.rename_object(1, "")


def test_what_does_not_fit_is_refused(video):
    with session(video) as one:
        for frame, mask, expected in (
            (9, MASK, "there is no frame 9"),
            (-1, MASK, "there is no frame -1"),
            (0, MASK[:30], "is 52x30 but the frames are 52x40"),
            (0, NONE, "speaks of no object"),
            (0, MASK.astype(float), r"must be \(H, W\) ids"),
            (0, np.full(MASK.shape, 255), r"ids are 1 to 254, not \[255\]"),
        ):
            with pytest.raises(InputError, match=expected):
                one.annotate(frame, mask)
        assert not one.annotations
        with pytest.raises(InputError, match="another stm-jax is working"):
            session(video)
    (video / "08.png").write_bytes((video / "07.png").read_bytes())
    with pytest.raises(InputError, match="session of another video"):
        session(video)
