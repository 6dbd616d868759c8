"""Parts of objects that become objects, `stm_jax/data/parts.py`."""

import pathlib

import cv2
import numpy as np
import pytest

from stm_jax.data import clips
from stm_jax.data.clips import clip_from_photograph
from stm_jax.data.masks import write_mask
from stm_jax.data.parts import SIZES, with_a_part
from stm_jax.data.samples import counts_of, ids_of
from stm_jax.data.sources import Photographs

TRIALS = 40


def two_coloured() -> tuple[np.ndarray, np.ndarray]:
    """A picture of an object whose upper half is red and whose lower half is green; its mask."""
    picture = np.full((120, 160, 3), 90, np.uint8)
    picture[20:60, 40:120], picture[60:100, 40:120] = (200, 30, 30), (30, 170, 30)
    ids = np.zeros((120, 160), np.uint8)
    ids[20:100, 40:120] = 1
    return picture, ids


def test_a_part_is_cut_out_of_one_object_and_nothing_else_changes():
    picture, ids = two_coloured()
    ids[5:15, 5:30] = 7
    for seed in range(TRIALS):
        parted = with_a_part(picture, ids, np.random.default_rng(seed))
        part = parted == 8
        assert np.array_equal(parted[~part], ids[~part])
        assert len(np.unique(ids[part])) <= 1
        assert not part[ids == 0].any()


def test_a_part_is_one_piece_as_large_as_it_should_be():
    picture, ids = two_coloured()
    shares = []
    for seed in range(TRIALS):
        part = with_a_part(picture, ids, np.random.default_rng(seed)) == 2
        assert cv2.connectedComponents(part.view(np.uint8))[0] <= 2
        shares.append(part.sum() / (ids > 0).sum())
    assert 0.7 * SIZES[0] < min(shares) < 0.15
    assert 0.35 < max(shares) < 1.1 * SIZES[1]


def test_a_part_is_of_one_colour():
    picture, ids = two_coloured()
    pure = []
    for seed in range(TRIALS):
        part = with_a_part(picture, ids, np.random.default_rng(seed)) == 2
        red = part[:60].sum() / part.sum()
        pure.append(max(red, 1 - red))
    assert np.mean(pure) > 0.95


def test_a_part_is_told_on_a_smaller_picture():
    picture, ids = two_coloured()
    small = cv2.resize(picture, (40, 30), interpolation=cv2.INTER_AREA)
    part = with_a_part(small, ids, np.random.default_rng(1)) == 2
    assert 0.05 < part.sum() / (ids > 0).sum() < 0.6
    ids[:], ids[7, 9] = 0, 1  # a pixel that the smaller picture does not have
    assert np.array_equal(with_a_part(small, ids, np.random.default_rng(1)), ids)


@pytest.fixture
def photograph(tmp_path: pathlib.Path) -> Photographs:
    picture, ids = two_coloured()
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / "images/a.png"), picture[..., ::-1])
    write_mask(tmp_path / "masks/a.png", ids)
    return Photographs(tmp_path)


@pytest.mark.parametrize("objects", [1, 2])
def test_clips_of_several_objects_have_parts(photograph: Photographs, objects: int):
    (sample,) = photograph.photographs()
    parted = 0
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        masks = clip_from_photograph(sample, [], rng, 3, 64, objects)["masks"]
        parted += len(ids_of(masks[0])) == 2
    expected = TRIALS * clips.PARTED_SHARE if objects > 1 else 0
    assert abs(parted - expected) <= 0.5 * expected


def test_the_parts_of_a_clip_move_together(
    photograph: Photographs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clips, "PARTED_SHARE", 1.0)
    (sample,) = photograph.photographs()
    shares = []
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        masks = clip_from_photograph(sample, [], rng, 4, 96, objects=2)["masks"]
        counts = np.array([counts_of(mask)[1:3] for mask in masks])
        if counts.min() > 100:
            shares.append(np.ptp(counts[:, 0] / counts.sum(axis=1)))
    assert len(shares) > TRIALS / 3
    assert np.median(shares) < 0.1
