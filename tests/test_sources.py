"""Sources of training data: every layout is found and read."""

import dataclasses
import json
import logging
import pathlib

import numpy as np
import pytest
import scipy.io
from PIL import Image, ImageFilter

from stm_jax.data import pipeline
from stm_jax.data.clips import clip_from_video
from stm_jax.data.coco import filled, run_lengths
from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import training_clips
from stm_jax.data.samples import Sample
from stm_jax.data.sources import Coco, Davis, Photographs, Videos, YoutubeVos
from stm_jax.errors import InputError
from tests.benchmark_trees import OTHER_PALETTE, davis2017, write_palette
from tests.test_clips import write_pair

HEIGHT, WIDTH = 16, 24
COLOURS = np.where(np.arange(256)[:, None] == 0, 0, OTHER_PALETTE)  # black, then not those of DAVIS


def write_image(path: pathlib.Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)


def square(**values: tuple[slice, slice]) -> np.ndarray:
    """Returns a mask with v3=(rows, columns) set to 3, and so on."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, place in values.items():
        mask[place] = int(name[1:])
    return mask


LEFT, RIGHT = (slice(2, 9), slice(1, 8)), (slice(4, 14), slice(12, 22))


def youtube(root: pathlib.Path, shown: dict[int, tuple[int, ...]], name: str = "zoo") -> None:
    """Writes a video whose frames are `shown`, each with its objects, in colours unlike DAVIS."""
    objects: dict[str, dict] = {}
    for frame, ids in shown.items():
        write_image(root / f"JPEGImages/{name}/{frame:05d}.jpg")
        places = {1: LEFT, 3: RIGHT}
        mask = square(**{f"v{i}": places[i] for i in ids})
        write_palette(root / f"Annotations/{name}/{frame:05d}.png", mask, COLOURS)
        for i in ids:
            objects.setdefault(str(i), {"frames": []})["frames"].append(f"{frame:05d}")
    (root / "meta.json").write_text(json.dumps({"videos": {name: {"objects": objects}}}))


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("DUTS-TR-Image", "DUTS-TR-Mask"),
        ("images", "ground_truth_mask"),
        ("", ""),  # MSRA10K
    ],
)
def test_photographs_and_their_masks_are_found(tmp_path: pathlib.Path, images: str, masks: str):
    for name in ("a", "b"):
        write_pair(tmp_path / images / f"{name}.jpg", tmp_path / masks / f"{name}.png", left=30)
    samples = Photographs(tmp_path).photographs()
    assert [sample.image.name for sample in samples] == ["a.jpg", "b.jpg"]
    image, mask = samples[1].read()
    assert (image.dtype, image.shape) == (np.uint8, (64, 96, 3))
    assert np.bincount(mask.ravel()).tolist() == [96 * 64 - 24 * 24, 24 * 24]


def test_in_voc_only_some_images_have_objects_and_void_is_background(tmp_path: pathlib.Path):
    for name in ("one", "two", "three"):
        write_image(tmp_path / f"JPEGImages/{name}.jpg")
    mask = square(v255=(slice(1, 10), slice(0, 9)), v1=LEFT, v2=RIGHT)
    mask[LEFT] = 1
    write_palette(tmp_path / "SegmentationObject/two.png", mask)
    (sample,) = Photographs(tmp_path).photographs()
    assert sample.image.name == "two.jpg"
    ids = sample.ids()
    assert np.array_equal(ids, np.where(mask == 255, 0, mask))
    assert set(np.unique(ids)) == {0, 1, 2}


def test_masks_of_sbd_are_mat_files(tmp_path: pathlib.Path):
    for name in ("one", "two"):
        write_image(tmp_path / f"img/{name}.jpg")
    (tmp_path / "inst").mkdir()
    expected = square(v1=LEFT, v2=RIGHT)
    instances = {"Segmentation": expected, "Categories": np.array([[15], [7]])}
    scipy.io.savemat(tmp_path / "inst/two.mat", {"GTinst": instances}, do_compression=True)
    (sample,) = Photographs(tmp_path).photographs()
    assert sample.image.name == "two.jpg"
    assert np.array_equal(sample.read()[1], expected)
    content = (tmp_path / "inst/two.mat").read_bytes()
    (tmp_path / "inst/two.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"two\.mat is no mask of SBD"):
        sample.read()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB"])
def test_the_kind_of_a_mask_is_found(tmp_path: pathlib.Path, mode: str):
    write_image(tmp_path / "a.jpg")
    Image.fromarray(square(v255=LEFT)).convert(mode).save(tmp_path / "a.png")
    (sample,) = Photographs(tmp_path).photographs()
    assert np.array_equal(sample.ids(), square(v1=LEFT))


def coco(root: pathlib.Path, *annotations: dict) -> Coco:
    write_image(root / "train/0.jpg")
    write_image(root / "train/1.jpg")
    images = [{"id": i, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in (0, 1)]
    content = {"images": images, "annotations": annotations}
    (root / "instances.json").write_text(json.dumps(content))
    return Coco(root / "instances.json", root / "train")


def test_instances_of_coco_become_ids(tmp_path: pathlib.Path):
    left = {"image_id": 1, "segmentation": [[1, 2, 8, 2, 8, 9, 1, 9]], "iscrowd": 0}
    plain = [WIDTH * HEIGHT - 2 * HEIGHT, HEIGHT, HEIGHT]  # runs go down, then to the right
    column = {"image_id": 1, "segmentation": {"counts": plain, "size": [HEIGHT, WIDTH]}}
    crowd = {"image_id": 1, "segmentation": {"counts": [0, 384], "size": [16, 24]}, "iscrowd": 1}
    (sample,) = coco(tmp_path, left, column, crowd).photographs()
    assert sample.image.name == "1.jpg"  # the other has no objects
    expected = square(v1=LEFT)  # the larger is 1
    expected[:, 22] = 2
    assert np.array_equal(sample.read()[1], expected)


def test_a_small_instance_lies_over_a_large_one(tmp_path: pathlib.Path):
    small = {"image_id": 0, "segmentation": [[2, 2, 5, 2, 5, 5, 2, 5]]}
    large = {"image_id": 0, "segmentation": [[0, 0, 24, 0, 24, 16, 0, 16], [1, 1, 2, 1, 2, 2]]}
    (sample,) = coco(tmp_path, small, large).photographs()
    ids = sample.ids()
    assert (ids == 2).sum() == 9
    assert (ids == 1).sum() == HEIGHT * WIDTH - 9


def test_a_polygon_covers_the_pixels_whose_centres_it_holds():
    triangle = filled(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]), (4, 5))
    assert triangle.astype(int).tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    beyond = filled(np.array([[-5.0, -5.0], [2.0, -5.0], [2.0, 9.0], [-5.0, 9.0]]), (3, 4))
    assert beyond.astype(int).tolist() == [[1, 1, 0, 0]] * 3


def test_compressed_run_lengths():
    # 6, then 40 = 8 + 1 * 32, then 5; then 41 and 3 as differences to 40 and to 5.
    assert run_lengths("6X151N") == (6, 40, 5, 41, 3)


def test_runs_of_another_size_are_refused(tmp_path: pathlib.Path):
    wrong = {"image_id": 0, "segmentation": {"counts": [5, 5], "size": [HEIGHT, WIDTH]}}
    (sample,) = coco(tmp_path, wrong).photographs()
    with pytest.raises(InputError, match=r"instances\.json: .* 10 pixels long .* 24x16"):
        sample.read()


def test_lists_and_resolutions_of_davis(tmp_path: pathlib.Path):
    davis2017(tmp_path, {"cat": (3, 24, 32, (1, 2)), "dog": (2, 24, 32, (1,))})
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind / "Full-Resolution").symlink_to(tmp_path / kind / "480p")
    (tmp_path / "ImageSets/2017/train.txt").write_text("dog\n")
    (tmp_path / "ImageSets/480p").mkdir()
    pair = "/JPEGImages/480p/cat/00000.png /Annotations/480p/cat/00000.png\n"
    (tmp_path / "ImageSets/480p/val.txt").write_text(pair)

    (dog,) = Davis(tmp_path).videos()
    assert (dog.name, len(dog.samples), dog.every) == ("dog", 2, 1)
    (cat,) = Davis(tmp_path, year=2016, split="val").videos()
    assert set(np.unique(cat.samples[0].ids())) == {0, 1}  # all objects are one
    both = Davis(tmp_path, split="val", resolution="Full-Resolution").videos()
    assert [video.name for video in both] == ["cat", "dog"]
    assert set(np.unique(both[0].samples[0].ids())) == {0, 1, 2}
    assert both[0].samples[0].image.parent.parent.name == "Full-Resolution"
    assert [video.name for video in Videos(tmp_path).videos()] == ["cat", "dog"]
    with pytest.raises(InputError, match=r"looked for .*trainval\.txt; there are .*val\.txt"):
        Davis(tmp_path, split="trainval").videos()
    with pytest.raises(InputError, match=r"1080p: no such folder; .* holds 480p, Full-Resolution"):
        Davis(tmp_path, resolution="1080p").videos()


def test_clips_of_youtube_vos_are_cut_from_annotated_frames(tmp_path: pathlib.Path):
    youtube(tmp_path / "train", {frame: (1, 3) for frame in range(0, 40, 5)})
    every = tmp_path / "train_all_frames/JPEGImages/zoo"
    for frame in range(40):
        write_image(every / f"{frame:05d}.jpg")
    for folder in ("train", "train_all_frames"):
        (video,) = YoutubeVos(tmp_path / folder).videos()
        stems = [sample.image.stem for sample in video.samples]
        assert stems == [f"{frame:05d}" for frame in range(0, 40, 5)]
        assert video.every == 5
    assert np.array_equal(video.samples[0].ids(), square(v1=LEFT, v3=RIGHT))


def test_a_skip_counts_frames_of_the_video(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    youtube(tmp_path, {frame: (1,) for frame in range(0, 200, 5)})
    (video,) = YoutubeVos(tmp_path).videos()
    read: list[pathlib.Path] = []
    original = Sample.ids
    monkeypatch.setattr(Sample, "ids", lambda self: read.append(self.image) or original(self))
    steps = set()
    for seed in range(30):
        read.clear()
        clip_from_video(video, 10, [], np.random.default_rng(seed), length=3, size=16)
        # Threads of other tests' batches may still read ahead.
        frames = [int(path.stem) for path in read if path.is_relative_to(tmp_path)]
        steps |= set(np.abs(np.diff(frames)).tolist())
    assert steps == {5, 10, 15}  # at most 10 frames of the video, 2 annotated ones, are left out


def test_an_object_that_comes_later_is_background(tmp_path: pathlib.Path):
    youtube(tmp_path, {0: (3,), 5: (1, 3), 10: (1, 3)})
    (video,) = YoutubeVos(tmp_path).videos()
    assert np.array_equal(video.samples[0].ids(), square(v3=RIGHT))  # alone, and still object 3
    late = 0
    for seed in range(12):
        clip = clip_from_video(video, 0, [], np.random.default_rng(seed), 3, 16, objects=2)
        first, last = (set(np.unique(mask)) for mask in (clip["masks"][0], clip["masks"][-1]))
        assert last <= first | {0}
        late += first == {0, 1}
    assert late  # some clips begin before it comes


def test_sources_are_mixed_by_weight(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    write_pair(tmp_path / "a.jpg", tmp_path / "a.png", left=30)
    davis2017(tmp_path, {"cat": (2, 24, 32, (1,))})
    monkeypatch.setattr(pipeline, "clip_from_photograph", lambda *_: {"is_video": np.array(0)})
    monkeypatch.setattr(pipeline, "clip_from_video", lambda *_: {"is_video": np.array(1)})
    photographs, videos = Photographs(tmp_path, weight=1.0), Videos(tmp_path, weight=3.0)
    config = DataConfig((photographs, videos), pasted=0, batch_size=8)
    assert next(training_clips(config, seed=0, steps=2))["is_video"].sum() == 6  # pyright: ignore
    only_pasted = dataclasses.replace(photographs, weight=0.0)
    config = dataclasses.replace(config, sources=(only_pasted, videos))
    assert next(training_clips(config, seed=0, steps=2))["is_video"].sum() == 8  # pyright: ignore
    with pytest.raises(InputError, match="no source with a weight"):
        training_clips(dataclasses.replace(config, sources=()), seed=0, steps=2)


def test_saliency_masks_are_cut_at_half_and_that_is_told_once(tmp_path, caplog):
    wanted = []
    for number in range(3):
        hard = square(v255=LEFT)
        soft = Image.fromarray(hard).filter(ImageFilter.GaussianBlur(1))
        (tmp_path / "masks").mkdir(exist_ok=True)
        soft.save(tmp_path / f"masks/{number}.png")
        wanted.append(np.asarray(soft) >= 128)
        write_image(tmp_path / f"images/{number}.jpg")
    with caplog.at_level(logging.WARNING, "stm_jax.data"):
        samples = Photographs(tmp_path).photographs()
        for sample, half in zip(samples, wanted, strict=True):
            np.testing.assert_array_equal(sample.ids(), half)
    assert len(caplog.records) == 1 and "cut at half" in caplog.text


@pytest.mark.parametrize("palette", [False, True])
def test_255_alone_is_void_in_videos_of_several_objects(tmp_path, palette):
    for number, mask in enumerate((square(v1=LEFT), square(v255=LEFT), square(v2=LEFT))):
        image = Image.fromarray(mask)
        if palette:
            image.putpalette([200, 9, 9] * 256)
        (tmp_path / "Annotations/a").mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / f"Annotations/a/{number}.png")
        write_image(tmp_path / f"JPEGImages/a/{number}.jpg")
    (video,) = Videos(tmp_path).videos()
    assert [np.unique(sample.ids()).tolist() for sample in video.samples] == [[0, 1], [0], [0, 2]]
