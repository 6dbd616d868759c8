"""Training clips: image and mask move together, in order, and nothing held back is read."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from stm_jax.data import camera, clips, dust, pasting, pipeline
from stm_jax.data.bending import random_bends
from stm_jax.data.clips import clip_from_photograph, clip_from_video
from stm_jax.data.config import DataConfig
from stm_jax.data.light import likeness, random_color, recolored
from stm_jax.data.pasting import Layer, layer_from
from stm_jax.data.paths import Motion, Ranges, random_motion
from stm_jax.data.pipeline import training_clips
from stm_jax.data.samples import Sample
from stm_jax.data.sources import Photographs, Videos
from stm_jax.data.views import View
from stm_jax.errors import InputError


def draw(path: pathlib.Path, left: int, size: tuple[int, int] = (96, 64)) -> None:
    """Writes a white square on black, 24 pixels wide, and its 0/255 mask in the DAVIS layout."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[20:44, left : left + 24] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([mask] * 3, axis=-1)).save(path, quality=95)


def write_pair(image: pathlib.Path, mask: pathlib.Path, left: int) -> Sample:
    draw(image, left)
    draw(mask, left)
    Image.open(mask).convert("L").save(mask)
    return Sample(image, mask)


def write_clips(data: pathlib.Path) -> None:
    """Two photographs and two videos of ten frames, whose square moves right by 2 pixels."""
    for name in ("a", "b"):
        write_pair(data / f"images/{name}.jpg", data / f"masks/{name}.png", left=30)
    for video in ("one", "two"):
        for t in range(10):
            write_pair(
                data / f"JPEGImages/480p/{video}/{t:05d}.jpg",
                data / f"Annotations/480p/{video}/{t:05d}.png",
                left=10 + 2 * t,
            )


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """Returns a folder of its own with photographs and videos."""
    data = tmp_path / "data"  # tests write their runs beside it
    write_clips(data)
    return data


@pytest.fixture
def plain_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures stay as sharp and as bright as they are: tests tell things by their colours."""
    monkeypatch.setattr(clips, "DRIFTING_SHARE", 0.0)
    monkeypatch.setattr(dust, "CLOUDED_SHARE", 0.0)
    monkeypatch.setattr(pasting, "LOOK_ALIKE_SHARE", 0.0)
    for share in ("BLURRED_SHARE", "NOISY_SHARE", "COMPRESSED_SHARE"):
        monkeypatch.setattr(camera, share, 0.0)


def test_a_view_of_the_whole_image_is_the_image():
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    view = View(center=(3.0, 3.0), extent=6.0)
    assert np.array_equal(view.of(pixels, 6), pixels)


def test_a_flipped_and_a_shifted_view():
    pixels = np.arange(36, dtype=np.uint8).reshape(6, 6)
    flipped = View(center=(3.0, 3.0), extent=6.0, flip=True).of(pixels, 6)
    assert np.array_equal(flipped, pixels[:, ::-1])
    shifted = View(center=(5.0, 3.0), extent=6.0).of(pixels, 6)
    assert np.array_equal(shifted[:, :4], pixels[:, 2:])
    assert not shifted[:, 4:].any()  # outside the image there is no object


def test_masks_are_never_interpolated():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:25, 12:30] = 200
    for bend in (None, random_bends((8.0, 8.0), 24.0, 1, np.random.default_rng(0))[0]):
        view = View((20.0, 20.0), 30.0, rotation=25.0, shear=8.0, bend=bend)
        assert np.unique(view.of(mask, 48)).tolist() == [0, 200]


def test_a_shrunk_picture_gives_the_same_view(tmp_path: pathlib.Path):
    ramp = np.arange(256, dtype=np.uint8)
    picture = np.stack([np.tile(ramp, (128, 1)), np.tile(ramp[:128, None], (1, 256)) * 2] * 2, -1)
    Image.fromarray(picture[..., :3]).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    sample = Sample(tmp_path / "a.jpg", tmp_path / "a.png")
    view = View(center=(120.0, 62.0), extent=76.0, rotation=30.0, shear=5.0)
    whole, shrunk = (sample.rgb((128, 256), shrink) for shrink in (1, 4))
    assert (whole.shape, shrunk.shape) == ((128, 256, 3), (32, 64, 3))
    difference = view.of(shrunk, 24, 4).astype(int) - view.of(whole, 24)
    assert np.abs(difference).max() <= 4  # a pixel of the picture is one grey level, or two


def test_a_large_picture_is_decoded_smaller(tmp_path: pathlib.Path, monkeypatch, plain_light):
    mask = np.zeros((192, 256), np.uint8)
    mask[50:130, 100:190] = 255
    Image.fromarray(np.stack([mask] * 3, axis=-1)).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(mask).save(tmp_path / "a.png")
    shrinks = []
    original = Sample.rgb
    monkeypatch.setattr(
        Sample,
        "rgb",
        lambda self, size, shrink=1: shrinks.append(shrink) or original(self, size, shrink),
    )
    sample = Sample(tmp_path / "a.jpg", tmp_path / "a.png", merged=True)
    for seed in range(12):
        clip = clip_from_photograph(sample, [], np.random.default_rng(seed), length=3, size=32)
        white = clip["frames"][..., 0] > 0.75 * clip["frames"].max()  # what is outside is grey
        shown = clip["masks"] > 0
        assert (white == shown).mean() > 0.96, (seed, shrinks[-1])
    assert {2, 4} <= set(shrinks)


def test_a_part_of_a_view_is_cut_from_it():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    view = View(center=(31.0, 18.0), extent=24.0, rotation=20.0, shear=8.0, flip=True)
    box = (slice(3, 11), slice(7, 30))
    for picture in (pixels, pixels[..., 0].copy()):
        assert np.array_equal(view.part_of(picture, 32, box), view.of(picture, 32)[box])


def test_a_likeness_has_the_colours_of_its_model():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 60, (20, 30, 3), dtype=np.uint8)
    model = rng.integers(0, 20, (10, 15, 3), dtype=np.uint8) + np.array([150, 20, 90], np.uint8)
    shown, shown_in_model = np.zeros((20, 30), bool), np.zeros((10, 15), bool)
    shown[5:15], shown_in_model[:, 3:] = True, True
    picture[~shown], model[~shown_in_model] = 255, 255  # not looked at
    alike = recolored(picture, likeness(picture, shown, model, shown_in_model, rng))
    before = picture[shown].mean(axis=0)
    share = (alike[shown].mean(axis=0) - before) / (model[:, 3:].mean(axis=(0, 1)) - before)
    assert ((share > 0.45) & (share < 1.05)).all()
    nothing = likeness(picture, shown, model, shown_in_model & False, rng)
    assert np.array_equal(recolored(picture, nothing), picture)


def test_a_random_color_changes_brightness_contrast_and_colour():
    picture = np.random.default_rng(1).integers(60, 160, (20, 30, 3), dtype=np.uint8)
    none = random_color(picture, np.random.default_rng(0), amount=0.0)
    assert np.array_equal(recolored(picture, none), picture)

    class Drawn:
        def __init__(self, *changes: float) -> None:
            self.uniform = lambda *_: np.array(changes)

    def changed(*changes: float) -> np.ndarray:
        return recolored(picture, random_color(picture, Drawn(*changes))).astype(float)  # pyright: ignore

    assert np.abs(changed(0.2, 0, 0) - 1.2 * picture).max() <= 1
    middle = (picture @ np.array([0.299, 0.587, 0.114])).mean()
    assert np.abs(changed(0, -0.2, 0) - (0.8 * picture + 0.2 * middle)).max() <= 1
    luma = (picture @ np.array([0.299, 0.587, 0.114]))[..., None]
    assert np.abs(changed(0, 0, -0.2) - (0.8 * picture + 0.2 * luma)).max() <= 1


def agreement(frames: np.ndarray, masks: np.ndarray) -> float:
    """Share of the pixels at which the white square and its mask agree."""
    return float(((frames[..., 0] > 110) == (masks > 0)).mean())


def test_masks_move_with_their_photograph(root: pathlib.Path, plain_light: None):
    sample = Photographs(root).photographs()[0]
    clip = clip_from_photograph(sample, [], np.random.default_rng(3), length=3, size=48)
    # Outside the image is grey, which counts as white here: look inside the mask only.
    assert clip["frames"].shape == (3, 48, 48, 3)
    assert clip["masks"].shape == (3, 48, 48)
    assert set(np.unique(clip["masks"])) == {0, 1}
    inside = clip["frames"][..., 0][clip["masks"] > 0]
    assert (inside > 110).mean() > 0.95
    assert not np.array_equal(clip["masks"][0], clip["masks"][1])


def test_masks_move_with_their_video(root: pathlib.Path, plain_light: None):
    video = Videos(root).videos()[0]
    for seed in range(4):
        clip = clip_from_video(video, 2, [], np.random.default_rng(seed), length=3, size=48)
        assert agreement(clip["frames"][:, 8:-8, 8:-8], clip["masks"][:, 8:-8, 8:-8]) > 0.9


def test_views_go_with_the_object_of_a_video(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    masks = [sample.ids() for sample in Videos(root).videos()[0].samples[:6]]
    gone = np.zeros_like(masks[0])
    assert clips._way_of(1, [*masks[:3], gone])[:, 0].tolist() == [0, 2, 4, 4]
    still = Ranges(0.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr("stm_jax.data.paths.BENT_SHARE", 0.0)
    for share in (0.0, 0.5, 1.0):
        monkeypatch.setattr(clips, "FOLLOWING", (share, share))
        motion = Motion(True, np.zeros((6, 2)))
        rng = np.random.default_rng(0)
        views, _, target = clips._views_of_object(masks, rng, still, motion, 48)
        assert target == 1
        assert np.allclose(np.diff([view.center for view in views], axis=0), (2 * share, 0))


def plain(color: tuple[int, int, int], shape: tuple[slice, slice]) -> Layer:
    """Returns an image of one colour, 96x64, of which `shape` is to be pasted."""
    mask = np.zeros((64, 96), np.uint8)
    mask[shape] = 1
    return np.full((64, 96, 3), color, np.uint8), mask


def test_what_is_pasted_lies_on_top_and_may_be_followed(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, plain_light: None
):
    monkeypatch.setattr(pasting, "COPY_SHARE", 0.0)
    sample = Photographs(root).photographs()[0]
    layers = [
        plain((250, 0, 0), (slice(20, 44), slice(30, 60))),
        plain((0, 0, 250), (slice(24, 40), slice(40, 56))),
    ]
    seen = set()
    for seed in range(30):
        clip = clip_from_photograph(
            sample, layers, np.random.default_rng(seed), length=3, size=48, objects=2
        )
        red, green, blue = (clip["frames"][..., i].astype(int) for i in range(3))
        if np.array_equal(red, green):
            continue  # a clip without colour
        is_red, is_blue = (red > 150) & (green < 60), (blue > 150) & (green < 60)
        seen.update(np.unique(clip["masks"]).tolist())
        for number in (1, 2):
            shown = clip["masks"] == number
            # An object is one of the three, whole, with no hole that another has not covered.
            wholes = [shown[place].mean() for place in (is_red, is_blue) if place.any()]
            assert all(share in (0.0, 1.0) for share in wholes), (seed, number, wholes)
    assert seen == {0, 1, 2}


def test_no_more_objects_are_followed_than_asked_for(root: pathlib.Path):
    sample = Photographs(root).photographs()[0]
    layers = [plain((250, 0, 0), (slice(20, 44), slice(30, 60)))] * 2
    for seed in range(8):
        clip = clip_from_photograph(sample, layers, np.random.default_rng(seed), 3, 48)
        assert set(np.unique(clip["masks"])) == {0, 1}


def test_small_objects_are_followed_and_tiny_ones_where_there_is_no_other():
    ids = np.zeros((3, 224, 224), np.uint8)
    ids[:, 5:7, 5:7] = 1
    alone = clips._followed(ids, np.random.default_rng(0), objects=2)
    assert np.array_equal(alone, ids)
    ids[:, 50:60, 50:60] = 2
    both = clips._followed(ids, np.random.default_rng(0), objects=2)
    assert np.array_equal(both, ids == 2)


def test_views_stay_on_their_photograph(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    whole = np.array([96.0, 64.0])
    assert View((32.0, 32.0), 64.0).inside(whole) == 1.0
    assert View((0.0, 32.0), 64.0, rotation=180.0).inside(whole) == 0.5
    assert View((96.0, 64.0), 64.0).inside(whole) == 0.25
    masks = [Photographs(root).photographs()[0].ids()] * 6
    rng = np.random.default_rng(0)

    def off() -> float:
        """Returns which share of clips has a view that is far off."""
        worst = []
        for _ in range(60):
            motion = random_motion(rng, len(masks))
            views, _, _ = clips._views_of_object(masks, rng, clips.PHOTOGRAPH, motion, 48)
            worst.append(min(view.inside(whole) for view in views))
        return float(np.mean(np.array(worst) < 0.8))

    seldom = off()
    monkeypatch.setattr(clips, "INSIDE", 0.0)
    assert seldom < 0.5 * off()


def test_a_layer_takes_its_outline_from_another_photograph(root: pathlib.Path):
    sample, other = Photographs(root).photographs()
    draw(other.mask, left=4, size=(96, 64))
    Image.open(other.mask).convert("L").save(other.mask)
    rng = np.random.default_rng(0)
    own, strange = (layer_from(sample, shape, rng)[1] for shape in (None, other))
    assert own[30].nonzero()[0].tolist() == list(range(30, 54))
    assert strange[30].nonzero()[0].tolist() == list(range(4, 28))


def test_no_skip_takes_neighbours(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    read = []
    original = Sample.ids
    monkeypatch.setattr(Sample, "ids", lambda self: read.append(self) or original(self))
    clip_from_video(Videos(root).videos()[0], 0, [], np.random.default_rng(0), length=3, size=32)
    mine = [sample for sample in read if sample.image.is_relative_to(root)]
    steps = np.diff([int(sample.image.stem) for sample in mine])
    assert steps.tolist() in ([1, 1], [-1, -1])


def test_a_short_video_keeps_its_order(root: pathlib.Path):
    video = Videos(root).videos()[0]
    clip = clip_from_video(video, 25, [], np.random.default_rng(1), length=3, size=32)
    assert clip["frames"].shape == (3, 32, 32, 3)


def test_the_same_seed_gives_the_same_batches_also_from_the_middle(root: pathlib.Path):
    sources = (Photographs(root), Videos(root))
    config = DataConfig(sources, pasted=3, objects=2, length=5, size=32, batch_size=2)
    first, again = (iter(training_clips(config, seed=7, steps=8)) for _ in range(2))
    batches = [next(first) for _ in range(3)]
    assert np.array_equal(batches[0]["frames"], next(again)["frames"])
    position = again.get_state()
    other = iter(training_clips(config, seed=7, steps=8))
    other.set_state(position)
    assert np.array_equal(batches[1]["frames"], next(other)["frames"])
    assert np.array_equal(batches[2]["masks"], next(other)["masks"])
    assert batches[0]["frames"].shape == (2, 5, 32, 32, 3)


def test_the_largest_skip_grows_along_a_stage(root: pathlib.Path, monkeypatch):
    monkeypatch.setattr(pipeline, "clip_from_video", lambda _, skip, *__: {"skip": np.array(skip)})
    config = DataConfig((Videos(root),), pasted=0, first_skip=2, last_skip=10, batch_size=2)
    batches = training_clips(config, seed=0, steps=4)
    skips = [next(batches)["skip"].tolist() for _ in range(6)]  # pyright: ignore
    assert skips == [[2, 3], [4, 5], [6, 7], [8, 9], [10, 10], [10, 10]]


def test_what_is_held_back_is_not_there(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    read = set()
    original = Sample.ids
    monkeypatch.setattr(Sample, "ids", lambda self: read.add(self.image) or original(self))
    config = DataConfig(sources=(Videos(root),), held_back=("one",), size=16, batch_size=2)
    batches = training_clips(config, seed=0, steps=4)
    for _ in range(2):
        next(batches)
    # Threads of other tests' batches may still read ahead.
    assert {path.parent.name for path in read if path.is_relative_to(root)} == {"two"}
    with pytest.raises(InputError, match="no video three"):
        training_clips(dataclasses.replace(config, held_back=("three",)), seed=0, steps=4)
    with pytest.raises(InputError, match="are held back"):
        training_clips(dataclasses.replace(config, held_back=("one", "two")), seed=0, steps=4)


def test_bad_data_is_named(root: pathlib.Path):
    sample = Photographs(root).photographs()[0]
    draw(sample.mask, 10, size=(50, 64))
    Image.open(sample.mask).convert("L").save(sample.mask)
    with pytest.raises(InputError, match=r"a\.png is 50x64 but its image a\.jpg is 96x64"):
        sample.read()
    sample.image.write_bytes(sample.image.read_bytes()[:200])
    with pytest.raises(InputError, match=r"a\.jpg"):
        sample.read()
    sample.mask.unlink()
    with pytest.raises(InputError, match=r"a\.jpg has no mask"):
        Photographs(root).photographs()
