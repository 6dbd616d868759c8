"""Data that cannot be used: a clear line names the file, and it is refused or left out."""

import dataclasses
import logging
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from stm_jax.data.config import DataConfig
from stm_jax.data.pipeline import training_clips
from stm_jax.data.sources import Coco, Davis, Photographs, Videos, YoutubeVos
from stm_jax.data.sources.protocol import Source
from stm_jax.errors import InputError
from tests.benchmark_trees import davis2017, write_palette
from tests.test_clips import write_pair
from tests.test_sources import LEFT, coco, square, write_image

CASES = {
    "truncated": r"b\.jpg cannot be read",
    "no mask": r"b\.jpg has no mask: there is no .*b\.png",
    "two sizes": r"b\.png is 10x10 but its image b\.jpg is 96x64",
    "empty": r"b\.png is empty",
    "no picture": r"b\.png is not a picture",
}


def spoil(case: str, image: pathlib.Path, mask: pathlib.Path) -> None:
    match case:
        case "truncated":
            image.write_bytes(image.read_bytes()[:400])
        case "no mask":
            mask.unlink()
        case "two sizes":
            Image.new("L", (10, 10), 255).save(mask)
        case "empty":
            Image.new("L", (96, 64), 0).save(mask)
        case "no picture":
            mask.write_bytes(b"<html>not found</html>")


def first_batches(config: DataConfig, start: int = 0, count: int = 3) -> list[np.ndarray]:
    clips = training_clips(config, seed=3, steps=8, start=start)
    return [next(clips)["masks"] for _ in range(count)]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_photograph_is_named_or_skipped(
    tmp_path: pathlib.Path, case: str, caplog: pytest.LogCaptureFixture
):
    for name in ("a", "b", "c"):
        write_pair(tmp_path / f"{name}.jpg", tmp_path / f"{name}.png", left=30)
    spoil(case, tmp_path / "b.jpg", tmp_path / "b.png")
    config = DataConfig((Photographs(tmp_path),), pasted=1, size=16, batch_size=2)
    with pytest.raises(InputError, match=CASES[case]):
        first_batches(config)
    skipping = dataclasses.replace(config, bad_files="skip")
    with caplog.at_level(logging.WARNING, "stm_jax.data"):
        batches = first_batches(skipping)
    (line,) = caplog.messages
    assert "b.jpg" in line or "b.png" in line
    assert line.startswith(("left out 1 of the 3", "skipped, 1 so far"))
    again = first_batches(skipping, start=1, count=2)
    assert np.array_equal(batches[1:], again)


def test_nothing_that_can_be_used_is_an_error_also_when_skipping(tmp_path: pathlib.Path):
    for name in ("a", "b"):
        write_pair(tmp_path / f"{name}.jpg", tmp_path / f"{name}.png", left=30)
        spoil("empty", tmp_path / f"{name}.jpg", tmp_path / f"{name}.png")
    config = DataConfig((Photographs(tmp_path),), bad_files="skip", size=16, batch_size=2)
    with pytest.raises(InputError, match=r"100 clips in a row .* is empty"):
        first_batches(config)


def test_bad_videos_are_named_or_left_out(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture):
    davis2017(
        tmp_path, {"cat": (3, 24, 32, (1,)), "dog": (2, 24, 32, (1,)), "fox": (3, 24, 32, (1,))}
    )
    (tmp_path / "Annotations/480p/dog/00001.png").unlink()
    with pytest.raises(InputError, match=r"dog.00001\.png has no mask"):
        Videos(tmp_path).videos()
    (tmp_path / "JPEGImages/480p/dog/00001.png").unlink()
    with pytest.raises(InputError, match="dog has 1 frame with a mask: a clip needs two"):
        Videos(tmp_path).videos()
    assert [video.name for video in Videos(tmp_path).videos("skip")] == ["cat", "fox"]
    assert "left out 1 of the 3" in caplog.text
    for path in (tmp_path / "Annotations/480p/fox").iterdir():
        write_palette(path, np.zeros((24, 32), np.uint8))
    config = DataConfig((Videos(tmp_path),), bad_files="skip", size=16, batch_size=2)
    caplog.clear()
    first_batches(config)
    assert sum("no mask of" in line and "fox shows an object" in line for line in caplog.messages)


VIDEO_CASES = {
    "truncated frame": r"dog.00001\.jpg cannot be read",
    "truncated mask": r"dog.00001\.png cannot be read",
    "no mask": r"dog.00001\.jpg has no mask",
    "no frame": r"dog.00001\.png has no frame of that name",
    "frame and mask": r"dog.00001\.png is 10x10 but its image 00001\.jpg is 96x64",
    "frames of two sizes": r"dog has frames of 10x10 and of 96x64 pixels",
    "a mask that is a photograph": r"dog.00001\.png has .* different values",
    "one frame": r"dog has 1 frame with a mask: a clip needs two",
    "no pictures": r"dog has no pictures in it",
    "no masks": r"dog: no such folder; .* holds cat$",
}


def spoil_video(case: str, root: pathlib.Path) -> None:
    frames, masks = root / "JPEGImages/dog", root / "Annotations/dog"
    frame, mask = frames / "00001.jpg", masks / "00001.png"
    match case:
        case "truncated frame":
            frame.write_bytes(frame.read_bytes()[:400])
        case "truncated mask":
            mask.write_bytes(mask.read_bytes()[:80])
        case "no mask":
            mask.unlink()
        case "no frame":
            frame.unlink()
        case "frame and mask":
            Image.new("L", (10, 10), 255).save(mask)
        case "frames of two sizes":
            Image.new("L", (10, 10), 255).save(mask)
            Image.new("RGB", (10, 10)).save(frame)
        case "a mask that is a photograph":
            noise = np.random.default_rng(0).integers(0, 255, (64, 96), dtype=np.uint8)
            Image.fromarray(noise).save(mask)
        case "one frame":
            for path in (frames / "00000.jpg", frames / "00002.jpg"):
                path.unlink()
                (masks / f"{path.stem}.png").unlink()
        case "no pictures":
            shutil.rmtree(frames)
            frames.mkdir()
        case "no masks":
            shutil.rmtree(masks)


@pytest.mark.parametrize("case", VIDEO_CASES)
def test_a_bad_video_is_named_or_skipped(
    tmp_path: pathlib.Path, case: str, caplog: pytest.LogCaptureFixture
):
    for name in ("cat", "dog"):
        for t in range(3):
            write_pair(
                tmp_path / f"JPEGImages/{name}/{t:05d}.jpg",
                tmp_path / f"Annotations/{name}/{t:05d}.png",
                left=10 + 2 * t,
            )
    spoil_video(case, tmp_path)
    config = DataConfig((Videos(tmp_path),), size=16, batch_size=2)
    with pytest.raises(InputError, match=VIDEO_CASES[case]) as refused:
        first_batches(config)
    assert "\n" not in str(refused.value)
    with caplog.at_level(logging.WARNING, "stm_jax.data"):
        batches = first_batches(dataclasses.replace(config, bad_files="skip"))
    assert all(masks.any() for masks in batches)
    (line,) = caplog.messages
    assert line.startswith(("left out 1 of the 2", "skipped, 1 so far"))
    assert "dog" in line


def test_a_mask_without_an_image_is_named(tmp_path: pathlib.Path):
    write_image(tmp_path / "JPEGImages/one.jpg")
    write_palette(tmp_path / "SegmentationObject/two.png", square(v1=LEFT))
    with pytest.raises(InputError, match=r"two\.jpg: no such image, but there is a mask of it"):
        Photographs(tmp_path).photographs()
    outline = {"image_id": 1, "segmentation": [[1, 2, 8, 2, 8, 9, 1, 9]]}
    source = coco(tmp_path, outline)
    (source.images / "1.jpg").unlink()
    with pytest.raises(InputError, match=r"1\.jpg: no such image"):
        source.photographs()
    write_image(source.images / "1.jpg", (10, 10))
    (sample,) = source.photographs()
    with pytest.raises(InputError, match=r"mask of 1\.jpg in .*instances\.json is 24x16 but"):
        sample.read()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Videos(pathlib.Path("hollow")), "nothing in .*JPEGImages that can be used"),
        (Davis(pathlib.Path("hollow")), "480p: no such folder; .* holds nothing"),
        (YoutubeVos(pathlib.Path("hollow")), "nothing in .*JPEGImages that can be used"),
        (Photographs(pathlib.Path("here")), r"looked for images/ with masks/, .* holds stray$"),
        (Photographs(pathlib.Path("none")), "none: no such folder"),
        (Photographs(pathlib.Path("hollow")), "nothing in .*hollow that can be used"),
        (Videos(pathlib.Path("here")), "JPEGImages: no such folder; .* holds stray"),
        (YoutubeVos(pathlib.Path("none")), "none: no such folder"),
        (Coco(pathlib.Path("none"), pathlib.Path("here")), "none: no such file"),
        (Coco(pathlib.Path("bad.json"), pathlib.Path("here")), "is no COCO file"),
    ],
)
def test_an_unknown_layout_says_what_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, source: Source, said: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/stray").mkdir(parents=True)
    (tmp_path / "hollow/images").mkdir(parents=True)
    (tmp_path / "hollow/masks").mkdir()
    (tmp_path / "hollow/JPEGImages").mkdir()
    (tmp_path / "hollow/Annotations").mkdir()
    (tmp_path / "bad.json").write_text('{"videos": {}}')
    with pytest.raises(InputError, match=said):
        training_clips(DataConfig((source,), bad_files="skip"), seed=0, steps=1)
