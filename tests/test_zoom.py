"""The window that follows the objects: what it shows, when it moves; streams through it."""

import jax.numpy as jnp
import numpy as np
import pytest

from stm_jax import Segmenter
from stm_jax.cli import main
from stm_jax.errors import InputError
from stm_jax.infer import zoom
from stm_jax.infer.averaged import AveragedSegmenter
from tests.lively import lively_model
from tests.test_exported import clip

SIZE, WORKING = (120, 150), (64, 80)


def shown(top: int, left: int, bottom: int, right: int, size=SIZE) -> np.ndarray:
    """One object's mask, a box of ones."""
    masks = np.zeros((1, *size), np.float32)
    masks[0, top:bottom, left:right] = 1
    return masks


def window_of(box: tuple[int, int, int, int]) -> np.ndarray:
    return np.asarray(zoom.around(jnp.array(box, jnp.float32), SIZE, WORKING))


def through(masks: np.ndarray, window: np.ndarray | jnp.ndarray) -> jnp.ndarray:
    return jnp.asarray(zoom.nearest_seen(masks, np.asarray(window), WORKING))


def test_the_box_of_masks_is_found_in_pixels_of_the_frame():
    masks = np.concatenate([shown(60, 100, 70, 112), shown(50, 90, 61, 95)])
    box, there = zoom.box_of(jnp.asarray(masks), zoom.whole(SIZE))
    assert box.tolist() == [50, 90, 70, 112]
    assert there
    window = jnp.array([40.0, 75.0, 64.0, 80.0])
    box, _ = zoom.box_of(through(masks, window), window)
    assert np.allclose(box, [50, 90, 70, 112], atol=1)
    assert not zoom.box_of(jnp.zeros((2, *SIZE)), zoom.whole(SIZE))[1]


@pytest.mark.parametrize("box", [(50, 60, 70, 90), (0, 0, 20, 20), (100, 120, 120, 150)])
def test_a_window_has_the_frames_shape_and_lies_in_it_with_the_margin(box):
    top, left, height, width = window_of(box)
    assert height / width == pytest.approx(SIZE[0] / SIZE[1])
    assert min(top, left) >= 0
    assert top + height <= SIZE[0] + 1e-3
    assert left + width <= SIZE[1] + 1e-3
    for begin, end, first, last, side in (
        (top, top + height, box[0], box[2], SIZE[0]),
        (left, left + width, box[1], box[3], SIZE[1]),
    ):
        margin = zoom.MARGIN * (last - first)
        assert begin <= max(0, first - margin) + 1e-3
        assert end >= min(side, last + margin) - 1e-3


def test_a_window_enlarges_so_much_and_no_more():
    assert window_of((60, 60, 62, 62))[2] == pytest.approx(WORKING[0] / zoom.MOST_ENLARGED)
    assert window_of((10, 10, 110, 140)).tolist() == [0, 0, *SIZE]


def test_the_window_stays_moves_and_opens():
    window = window_of((40, 50, 70, 90))

    def after(masks: jnp.ndarray) -> np.ndarray:
        return np.asarray(zoom.next_window(masks, jnp.asarray(window), SIZE))

    assert np.array_equal(after(through(shown(42, 52, 72, 92), window)), window)
    right = int(window[1] + window[3])
    at_its_edge = after(through(shown(40, right - 30, 70, right), window))
    assert at_its_edge[1] + at_its_edge[3] > right + 5
    smaller = after(through(shown(50, 70, 56, 78), window))
    assert smaller[2] < 0.75 * window[2]
    assert after(jnp.zeros((1, *WORKING))).tolist() == [0, 0, *SIZE]
    unsure = through(shown(42, 52, 72, 92), window) * 0.55
    assert after(unsure).tolist() == [0, 0, *SIZE]


def test_what_is_seen_is_what_is_put_back():
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    picture = jnp.asarray(np.stack([rows, columns], axis=-1))
    window = jnp.array([30.0, 50.0, 48.0, 60.0])
    seen = zoom.seen(picture, window, WORKING)
    inside = np.asarray(seen)[1:-1, 1:-1]
    expected = 30 + (np.arange(1, 63) + 0.5) * 48 / 64 - 0.5
    assert np.allclose(inside[..., 0], expected[:, None], atol=1e-3)
    back = np.asarray(zoom.put_back(jnp.moveaxis(seen, -1, 0), window, SIZE))
    assert np.allclose(back[1, 32:76, 52:108], columns[32:76, 52:108], atol=0.1)
    assert np.abs(back[:, :29]).max() == np.abs(back[:, :, 111:]).max() == 0


def test_masks_move_from_window_to_window():
    masks = shown(52, 62, 72, 92)
    old, new = np.array([40.0, 50.0, 48.0, 60.0]), np.array([30.0, 45.0, 64.0, 80.0])
    found = np.asarray(zoom.moved(through(masks, old), jnp.asarray(old), jnp.asarray(new)))
    assert (np.abs(found - np.asarray(through(masks, new))) > 0.5).mean() < 0.01


def test_where_the_window_is_the_frame_nothing_changes():
    frames, mask = clip(40, 50)
    plain = Segmenter(lively_model()).segment(frames, mask, soft=True)
    found = Segmenter(lively_model(), zoom=True).segment(frames, mask, soft=True)
    assert np.abs(found - plain).max() <= 1e-4


def small(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip of large frames, and a mask of a small object."""
    frames = np.random.default_rng(number).integers(0, 256, (4, *SIZE, 3), np.uint8)
    return frames, shown(60, 100, 70, 112)[0].astype(np.uint8) * 3


def test_a_stream_looks_through_a_window_and_answers_for_the_frame():
    frames, mask = small(0)
    segmenter = Segmenter(lively_model(), zoom=True, short_side=64)
    segmenter.start(frames[0], mask)
    soft = segmenter.step(frames[1], soft=True)
    window = segmenter.state_arrays()["window"]
    assert window[2] == pytest.approx(64 / zoom.MOST_ENLARGED)
    assert soft.shape == (2, *SIZE)
    assert np.allclose(soft.sum(axis=0), 1, atol=1e-5)
    bottom, right = np.ceil(window[:2] + window[2:]).astype(int)
    assert soft[1, : int(window[0]) - 1].max() == soft[1, :, right + 1 :].max() == 0
    assert soft[1, int(window[0]) : bottom, int(window[1]) : right].max() > 0


def test_a_saved_stream_goes_on_and_steps_are_as_a_clip():
    frames, mask = small(1)
    segmenter = Segmenter(lively_model(), zoom=True, short_side=64)
    clip_at_once = segmenter.segment(frames, mask)
    segmenter.start(frames[0], mask, length=len(frames))
    segmenter.step(frames[1])
    other = Segmenter(lively_model(), zoom=True, short_side=64)
    other.restore(segmenter.state_arrays())
    for expected, frame in zip(clip_at_once[2:], frames[2:], strict=True):
        answers = segmenter.step(frame), other.step(frame)
        assert np.array_equal(*answers)
        assert (answers[0] == expected).mean() >= 0.999


def test_an_object_elsewhere_is_seen_from_then_on():
    frames, mask = small(2)
    late = np.zeros_like(mask)
    late[5:12, 5:15] = 7
    segmenter = Segmenter(lively_model(), zoom=True, short_side=64)
    segmenter.start(frames[0], mask)
    segmenter.add_objects(frames[0], late)
    top, left, height, width = segmenter.state_arrays()["window"]
    assert top <= 5
    assert left <= 5
    assert top + height >= 70
    assert left + width >= 112
    assert segmenter.step(frames[1], soft=True).shape == (3, *SIZE)


def test_pinned_frames_and_averages_have_windows_too():
    frames, mask = small(3)
    segmenter = Segmenter(lively_model(), zoom=True, short_side=64)
    segmenter.start(frames[0], mask)
    segmenter.pin(frames[2], mask, 2)
    assert segmenter.step(frames[1]).shape == SIZE
    averaged = AveragedSegmenter(lively_model(), flip=True, zoom=True, short_side=64)
    averaged.start(frames[0], mask)
    assert averaged.step(frames[1]).shape == SIZE


def test_what_has_no_window_is_told(tmp_path, capsys):
    frames, mask = small(4)
    segmenter = Segmenter(lively_model(), zoom=True)
    segmenter.start(frames[0], mask)
    with pytest.raises(InputError, match="leave the zoom out"):
        segmenter.look(frames[1], 0, 0)
    assert main(["export", str(tmp_path / "out.zip"), "--zoom"]) == 2
    assert "--zoom is for running a network" in capsys.readouterr().err


def test_what_is_remembered_is_seen_through_the_window():
    frames, mask = small(5)
    rows, columns = slice(43, 87), slice(79, 133)  # about the window of the first frame
    other = np.random.default_rng(6).integers(0, 256, frames[0].shape, np.uint8)
    other[rows, columns] = frames[0][rows, columns]
    answers = []
    for first in (frames[0], other):
        segmenter = Segmenter(lively_model(), zoom=True, short_side=64)
        segmenter.start(first, mask)
        answers.append(segmenter.step(frames[1], soft=True))
    assert np.array_equal(*answers)
