"""Things pasted over clips: what they are cut from, their ids, sizes, copies, and absences."""

import dataclasses
import pathlib
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from stm_jax.data import camera, clips, dust, pasting
from stm_jax.data.clips import clip_from_photograph
from stm_jax.data.config import DataConfig
from stm_jax.data.masks import write_mask
from stm_jax.data.pasting import Layer, layer_from, paste, thing_of
from stm_jax.data.paths import Motion
from stm_jax.data.pipeline import clip_batches
from stm_jax.data.samples import Sample, ids_of
from stm_jax.data.sources import Photographs
from tests.test_clips import plain, plain_light, root  # noqa: F401, fixtures

STILL = Motion(True, np.zeros((3, 2)))
BLUE = plain((0, 0, 250), (slice(20, 44), slice(30, 60)))
RED = plain((250, 0, 0), (slice(20, 44), slice(30, 60)))
COLOURS = np.array([(0, 0, 0), (230, 20, 20), (20, 230, 20), (20, 20, 230), (230, 230, 20)])


def black(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((3, size, size, 3), np.uint8), np.zeros((3, size, size), np.uint8)


@pytest.fixture
def several(tmp_path: pathlib.Path) -> pathlib.Path:
    """A photograph with a palette mask: objects 1 to 3 of three colours, and a tiny object 4."""
    ids = np.zeros((120, 160), np.uint8)
    ids[10:60, 10:70], ids[70:110, 20:50], ids[20:100, 90:140], ids[2:6, 150:154] = 1, 2, 3, 4
    folder = tmp_path / "several"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    picture = Image.fromarray(COLOURS[ids].astype(np.uint8))
    picture.save(folder / "images/a.jpg", quality=95, subsampling=0)
    write_mask(folder / "masks/a.png", ids)
    return folder


def test_of_a_photograph_with_several_objects_one_is_pasted(several: pathlib.Path):
    (sample,) = Photographs(several).photographs()
    ids = sample.ids()
    assert ids_of(ids).tolist() == [1, 2, 3, 4]
    rng = np.random.default_rng(0)
    cut = []
    for _ in range(40):
        picture, mask = layer_from(sample, None, rng)
        assert picture.shape == (120, 160, 3)
        assert np.array_equal(np.unique(mask), [0, 1])
        (number,) = np.unique(ids[mask > 0])
        assert np.array_equal(mask > 0, ids == number)
        cut.append(int(number))
    assert set(cut) == {1, 2, 3}  # 4 is too small
    outlines = [layer_from(sample, sample, rng)[1] for _ in range(20)]
    assert {len(ids_of(ids * outline)) for outline in outlines} == {1}


def test_a_tiny_object_is_pasted_where_there_is_no_other(several: pathlib.Path):
    ids = np.zeros((120, 160), np.uint8)
    ids[2:6, 150:154], ids[2:6, 10:13] = 1, 2
    write_mask(several / "masks/a.png", ids)
    (sample,) = Photographs(several).photographs()
    assert np.array_equal(layer_from(sample, None, np.random.default_rng(0))[1], ids == 1)


def test_a_clip_follows_objects_of_one_photograph_apart(
    several: pathlib.Path,
    plain_light: None,  # noqa: F811
):
    (sample,) = Photographs(several).photographs()
    most = 0
    for seed in range(12):
        clip = clip_from_photograph(sample, [], np.random.default_rng(seed), 3, 64, objects=2)
        numbers = ids_of(clip["masks"].reshape(-1, 64))
        most = max(most, *numbers)
        if np.ptp(clip["frames"], axis=-1).max() < 60:
            continue  # a clip without colour
        for number in numbers:
            seen = clip["frames"][clip["masks"] == number].astype(float)
            assert (np.abs(seen - np.median(seen, axis=0)).max(axis=1) < 70).mean() > 0.8, seed
    assert most == 2


def test_things_are_small_and_large():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        frames, ids = black(100)
        paste(frames, ids, [square_layer()], None, STILL, rng)
        shares.append(np.sqrt((ids[0] > 0).mean()))
    shares = np.array([share for share in shares if share])
    assert len(shares) > 150
    assert 0.2 < (shares < 0.1).mean() < 0.5
    assert 0.1 < (shares > 0.35).mean() < 0.4
    assert shares.min() < 0.06
    assert shares.max() < 0.85


def test_some_things_cross_and_some_keep_still(monkeypatch: pytest.MonkeyPatch):
    moved = []
    for name in ("crossing", "path"):
        original = getattr(pasting, name)
        monkeypatch.setattr(
            pasting,
            name,
            lambda *given, name=name, original=original: (
                moved.append("crossing" if name == "crossing" else given[1]) or original(*given)
            ),
        )
    rng = np.random.default_rng(0)
    for _ in range(200):
        paste(*black(32), [square_layer()], None, STILL, rng)
    assert 0.12 < moved.count("crossing") / 200 < 0.28
    assert 0.17 < moved.count(pasting.STILL) / 200 < 0.33
    assert moved.count(pasting.PHOTOGRAPH) > 80


def square_layer() -> Layer:
    mask = np.zeros((200, 300), np.uint8)
    mask[60:140, 100:180] = 1
    return np.stack([mask * np.uint8(200)] * 3, axis=-1), mask


def test_a_thing_is_shrunk_with_its_mask():
    picture, mask = square_layer()
    mask[100:102, 180:240] = 1  # thin: nothing of it is left at a tenth
    picture = np.stack([mask * np.uint8(200)] * 3, axis=-1)
    thing = thing_of((picture, mask), share=0.1, margin=40)
    assert thing.mask.shape == (160, 220)
    small = pasting._fitting(thing, 100)
    assert small.mask.shape == small.picture.shape[:2]
    assert max(small.mask.shape) < 22
    assert np.array_equal(small.picture[..., 0] > 100, small.mask > 0)
    dust = thing_of((picture, np.eye(200, 300, dtype=np.uint8)), share=0.04, margin=2)
    assert pasting._fitting(dust, 100).mask.any()


def test_what_is_hidden_shows_neither_mask_nor_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pasting, "hidden_frames", lambda *_: np.array([False, True, False]))
    back = 0
    for seed in range(20):
        frames, ids = black()
        monkeypatch.setattr(pasting, "CROSSING_SHARE", 0.0)
        paste(frames, ids, [RED], None, STILL, np.random.default_rng(seed))
        assert not frames[1].any()
        assert not ids[1].any()
        assert frames[0][ids[0] == 1].any()
        back += (ids[2] == 1).any()
    assert back > 10


def test_a_copy_is_another_object_that_looks_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pasting, "COPY_SHARE", 1.0)
    monkeypatch.setattr(pasting, "CROSSING_SHARE", 0.0)
    apart = 0
    for seed in range(20):
        frames, ids = black()
        paste(frames, ids, [RED, BLUE], None, STILL, np.random.default_rng(seed))
        assert not (frames[..., 2] > frames[..., 0]).any()  # the second is red as well
        both = [ids[0] == number for number in (1, 2)]
        assert both[1].any()
        if not both[0].any():
            continue  # covered
        reds = [frames[0][shown].astype(float).mean(axis=0) for shown in both]
        assert np.abs(reds[0] - reds[1]).max() < 40
        sides = [np.sqrt(shown.sum()) for shown in both]
        apart += 0.5 < sides[1] / sides[0] < 2
        assert not np.array_equal(both[0], both[1])
    assert apart > 8


def test_without_copies_the_second_is_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pasting, "COPY_SHARE", 0.0)
    monkeypatch.setattr(pasting, "LOOK_ALIKE_SHARE", 0.0)
    blue = 0
    for seed in range(10):
        frames, ids = black()
        paste(frames, ids, [RED, BLUE], None, STILL, np.random.default_rng(seed))
        blue += (frames[ids == 2][:, 2] > 100).mean() > 0.9 if (ids == 2).any() else 0
    assert blue > 5


def test_the_own_object_of_a_clip_is_copied(
    root: pathlib.Path,  # noqa: F811
    plain_light: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(pasting, "COPY_SHARE", 1.0)
    sample = Photographs(root).photographs()[0]
    two = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        clip = clip_from_photograph(sample, [BLUE], rng, 3, 64, objects=2)
        difference = clip["frames"][..., 2].astype(int) - clip["frames"][..., 0]
        assert difference.max() < 60  # nothing blue: a white square lies in its place
        white = clip["frames"][..., 0] > 0.6 * clip["frames"].max()
        for number in ids_of(clip["masks"].reshape(-1, 64)):
            assert white[clip["masks"] == number].mean() > 0.8, (seed, number)
        two += clip["masks"].max() == 2
    assert two > 8


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (dust, "CLOUDED_SHARE"),
        (clips, "DRIFTING_SHARE"),
        (clips, "GREY_SHARE"),
        (camera, "BLURRED_SHARE"),
        (camera, "NOISY_SHARE"),
        (camera, "COMPRESSED_SHARE"),
    ],
)
def test_what_wears_frames_touches_no_mask(
    several: pathlib.Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
):
    (sample,) = Photographs(several).photographs()

    def clip(share: float) -> clips.Clip:
        monkeypatch.setattr(module, name, share)
        rng = np.random.default_rng(4)
        return clip_from_photograph(sample, [RED, BLUE], rng, 6, 64, objects=3)

    clean, touched = clip(0.0), clip(1.0)
    assert np.array_equal(clean["masks"], touched["masks"])
    assert not np.array_equal(clean["frames"], touched["frames"])


def test_a_cloud_drifts_over_frames_and_lets_them_be_seen(monkeypatch: pytest.MonkeyPatch):
    frames = np.full((4, 64, 64, 3), (250, 0, 0), np.uint8)
    frames[:, 20:40] = (0, 0, 250)
    before = frames.copy()
    monkeypatch.setattr(dust, "CLOUDED_SHARE", 0.0)
    assert dust.clouded(frames, np.random.default_rng(0)) is frames
    monkeypatch.setattr(dust, "CLOUDED_SHARE", 1.0)
    for seed in range(8):
        covered = dust.clouded(frames, np.random.default_rng(seed))
        assert np.array_equal(frames, before)
        changed = np.abs(covered.astype(int) - frames).max(axis=-1)
        assert 0.2 < (changed > 10).mean() < 1.0
        assert np.abs(np.diff(changed, axis=0)).max() > 5  # it moves
        red, blue = covered[..., 0].astype(int), covered[..., 2].astype(int)
        assert ((red - blue)[:, :20] > 20).all()
        assert ((blue - red)[:, 20:40] > 20).all()


def test_photographs_and_things_bend_in_a_share_of_clips(monkeypatch: pytest.MonkeyPatch):
    picture, mask = square_layer()
    rng = np.random.default_rng(0)
    for share in (0.0, 1.0):
        monkeypatch.setattr("stm_jax.data.paths.BENT_SHARE", share)
        views = pasting._views(thing_of((picture, mask), 0.5, 2), 64, STILL, rng)
        own, _, _ = clips._views_of_object([mask] * 3, rng, clips.PHOTOGRAPH, STILL, 64)
        assert {view.bend is not None for view in (*views, *own)} == {share > 0}


def test_shake_is_shared_by_what_is_pasted(root: pathlib.Path, monkeypatch):  # noqa: F811
    """The photograph's object and the pasted one are seen to jump by the same way."""
    still = dataclasses.replace(clips.PHOTOGRAPH, rotation=0.0, shear=0.0, zoom=0.0, shift=0.0)
    shake = np.array([[0.0, 0.0], [0.08, -0.05]])
    monkeypatch.setattr(clips, "PHOTOGRAPH", still)
    monkeypatch.setattr(pasting, "PHOTOGRAPH", still)
    monkeypatch.setattr(pasting, "STILL", still)
    monkeypatch.setattr(pasting, "CROSSING_SHARE", 0.0)
    monkeypatch.setattr("stm_jax.data.paths.BENT_SHARE", 0.0)
    monkeypatch.setattr(clips, "random_motion", lambda *_: Motion(False, shake))
    sample = Photographs(root).photographs()[0]
    compared = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        masks = clip_from_photograph(sample, [RED], rng, 2, 100, objects=2)["masks"]
        for number in ids_of(masks[0]):
            first, last = (np.argwhere(mask == number) for mask in masks)
            whole = all(p.size and p.min() > 0 and p.max() < 99 for p in (first, last))
            if whole and len(first) == len(last):  # neither cut nor covered
                assert np.allclose(np.mean(last, 0) - np.mean(first, 0), (5, -8), atol=0.5)
                compared += 1
    assert compared > 10


def test_clip_i_is_the_same_whoever_makes_it(root: pathlib.Path, several: pathlib.Path):  # noqa: F811
    config = DataConfig(
        (Photographs(root), Photographs(several)), pasted=3, objects=3, length=4, size=32
    )
    whole = clip_batches(config, seed=3, steps=5)[2]
    second = clip_batches(config, seed=3, steps=5, start=2, process=1, processes=2)[0]
    assert np.array_equal(whole["frames"][1::2], second["frames"])
    assert np.array_equal(whole["masks"][1::2], second["masks"])
    other = clip_batches(config, seed=4, steps=5)[2]
    assert not np.array_equal(whole["frames"], other["frames"])


def test_a_sample_of_one_object_is_cut_as_it_is(root: pathlib.Path):  # noqa: F811
    sample: Sample = Photographs(root).photographs()[0]
    assert np.array_equal(layer_from(sample, None, np.random.default_rng(0))[1], sample.ids())
