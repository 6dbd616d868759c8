"""A session on the disk: stopped, crashed, opened again, spoiled, with other settings."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stm_jax import memory
from stm_jax.errors import InputError
from stm_jax.results.probabilities import STEPS
from tests.annotated_clip import (
    COUNT,
    FRAMES,
    MASK,
    OTHER,
    answers,
    as_folder,
    session,
)


@pytest.fixture
def video(tmp_path) -> Path:
    return as_folder(FRAMES, tmp_path / "video")


@pytest.mark.parametrize("saved", [True, False])
def test_stopped_anywhere_and_opened_again_it_ends_with_the_same_bits(video, monkeypatch, saved):
    given = {1: MASK, 6: OTHER}
    with session(video, "whole") as one:
        for frame, mask in given.items():
            one.annotate(frame, mask)
        answers(one)
        expected = [one.mask(t) for t in range(COUNT)]
        certainty = [one.certainty(t) for t in range(COUNT)]
    monkeypatch.setattr("stm_jax.annotate.propagation.SAVE_EVERY", 0.0 if saved else 1e9)
    for stop in range(1, 14, 2):
        name = f"stopped{stop}"
        one = session(video, name)
        for frame, mask in given.items():
            one.annotate(frame, mask)
        following = one.propagate()
        for _ in range(stop):
            next(following)
        if saved:
            following.close()
        one._open.close()  # as if killed here
        with session(video, name) as again:
            if saved:
                assert sum(1 for _ in again.propagate()) <= 9 + 4 - stop + 1
            answers(again)
            for t in range(COUNT):
                np.testing.assert_array_equal(again.mask(t), expected[t])
                assert again.certainty(t) == certainty[t]


@pytest.mark.parametrize("frames", [3, 10])
def test_what_a_crash_leaves_of_other_annotations_does_not_count(video, monkeypatch, frames):
    """Answers and half answers are written over, nothing is noted, and the edit is taken back."""
    with session(video) as one:
        one.annotate(0, MASK)
        one.annotate(8, OTHER)
        following = one.propagate()
        for _ in range(12 if frames == 10 else 3):
            next(following)
        following.close()
    with session(video, "whole") as one:
        one.annotate(0, MASK)
        one.annotate(8, OTHER)
        answers(one)
        expected = [one.mask(t) for t in range(COUNT)]
    monkeypatch.setattr("stm_jax.annotate.propagation.SAVE_EVERY", 1e9)
    one = session(video)
    one.annotate(8, MASK)
    following = one.propagate()
    for _ in range(frames):
        next(following)
    one._open.close()  # as if killed here
    with session(video) as one:
        one.annotate(8, OTHER)
        answers(one)
        for t in range(COUNT):
            np.testing.assert_array_equal(one.mask(t), expected[t])
    del following


def test_answers_do_not_count_while_others_are_written_over_them(video, monkeypatch):
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
        expected = [one.mask(t) for t in range(COUNT)]
    monkeypatch.setattr("stm_jax.annotate.propagation.SAVE_EVERY", 1e9)
    one = session(video)
    one.annotate(0, OTHER)
    following = one.propagate()
    for _ in range(4):
        next(following)
    one._open.close()  # as if killed here
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
        for t in range(COUNT):
            np.testing.assert_array_equal(one.mask(t), expected[t])
    del following


def test_what_is_edited_meanwhile_is_done_as_well(video):
    with session(video) as one:
        one.annotate(0, MASK)
        following = one.propagate()
        for _ in range(4):
            next(following)
        one.annotate(8, OTHER)
        rest = list(following)
        assert sorted(done.frame for done in rest if done.final) == list(range(1, 9))
        assert not {"stale", "todo"} & set(one.states())


def test_soft_masks_are_kept_if_wanted(video):
    with session(video, keep_soft=True) as one:
        one.annotate(0, MASK)
        one.annotate(8, OTHER)
        found = answers(one)
        for t in range(COUNT):
            kept = one.soft(t)
            assert kept is not None and kept.ids == found[t].ids
            np.testing.assert_allclose(kept.planes, found[t].planes, atol=1.5 / STEPS)
            np.testing.assert_array_equal(kept.labels, one.mask(t))
    with session(video) as one:  # which does not keep them: those of an answer before go
        one.annotate(8, MASK)
        answers(one)
    with session(video) as one:
        assert [one.soft(t) is None for t in range(COUNT)] == [False, *[True] * 8]
    with session(video, "without") as one:
        one.annotate(0, MASK)
        answers(one)
        assert one.soft(3) is None
    with session(video, "without", keep_soft=True) as one:
        assert len(answers(one)) == COUNT  # those that have none are done again
        assert one.soft(3) is not None


def test_a_spoiled_annotation_is_told_of_and_a_spoiled_answer_is_done_again(video):
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
        expected = one.mask(5)
    folder = video.parent / "out"
    (folder / "masks" / "05.png").write_bytes(b"")
    with session(video) as one:
        assert sorted(answers(one)) == [5]
        np.testing.assert_array_equal(one.mask(5), expected)
    (folder / ".session" / "frames.json").write_text("{")
    with session(video) as one:
        assert len(answers(one)) == COUNT
    noted = (folder / "annotations.json").read_bytes()
    (folder / "annotations.json").write_bytes(noted[:-9])
    with pytest.raises(InputError, match="is not JSON"):
        session(video)
    (folder / "annotations.json").write_bytes(noted)
    file = next((folder / "annotations").iterdir())
    shutil.copy(folder / "masks" / "05.png", file)
    with pytest.raises(InputError, match="has changed since it was given"):
        session(video)


def test_other_settings_make_all_stale_and_the_same_do_not(video):
    with session(video) as one:
        one.annotate(0, MASK)
        answers(one)
    with session(video, dtype=np.float32, capacity=64) as one:
        assert "stale" not in one.states()
    with session(video, memory=memory.Fifo(3)) as one:
        assert one.states() == ["annotated", *["stale"] * 8]
