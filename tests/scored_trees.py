"""Data sets of a few pixels with predictions, whose scores are known."""

import json
import pathlib
from collections.abc import Mapping

import numpy as np

from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from tests.benchmark_trees import write_palette


def moving(count: int, ids: tuple[int, ...] = (1, 2)) -> np.ndarray:
    """Returns (count, 24, 36) uint8: a square of each id, one below the other, walking right."""
    masks = np.zeros((count, 24, 36), np.uint8)
    for frame in range(count):
        for row, object_id in enumerate(ids):
            left = 2 + frame % 20
            masks[frame, 2 + 10 * row : 8 + 10 * row, left : left + 6] = object_id
    return masks


def write_masks(folder: pathlib.Path, masks: np.ndarray, first: int = 0, step: int = 1) -> None:
    for index, ids in enumerate(masks):
        write_palette(folder / f"{first + index * step:05d}.png", ids)


def write_davis(root: pathlib.Path, truths: Mapping[str, np.ndarray]) -> None:
    """Writes the DAVIS 2017 layout with a val list; the frames are empty files."""
    for name, masks in truths.items():
        write_masks(root / "Annotations/480p" / name, masks)
        write_empty_frames(root / "JPEGImages/480p" / name, range(len(masks)))
    for year in ("2016", "2017"):
        (root / "ImageSets" / year).mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / year / "val.txt").write_text("\n".join(truths) + "\n")


def write_empty_frames(folder: pathlib.Path, numbers: range) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"{number:05d}.jpg").touch()


def davis(root: pathlib.Path, truths: Mapping[str, np.ndarray]) -> tuple[BenchmarkSequence, ...]:
    write_davis(root, truths)
    return benchmark_sequences(root, "davis2017")


def write_youtube_vos(root: pathlib.Path) -> None:
    """Writes two videos of frames 0, 5, ..., 20: "ape" with 1, and 2 from frame 10; "zebra" with 1.

    The true masks of "ape" lack frame 15. Apes are in `train/meta.json`, zebras and boats are not.
    """
    ape, zebra = moving(5), moving(5, (1,))
    ape[:2][ape[:2] == 2] = 0
    for name, masks in (("ape", ape), ("zebra", zebra)):
        write_masks(root / "valid/Annotations" / name, masks, step=5)
        write_empty_frames(root / "valid/JPEGImages" / name, range(0, 25, 5))
    (root / "valid/Annotations/ape/00015.png").unlink()
    every = [f"{number:05d}" for number in range(0, 25, 5)]
    thing = {"category": "ape", "frames": every}
    boat = {"category": "boat", "frames": every[2:]}
    striped = {"category": "zebra", "frames": every}
    write_meta(root / "valid", {"ape": {"1": thing, "2": boat}, "zebra": {"1": striped}})
    write_meta(root / "train", {"another": {"1": thing}})


def write_meta(folder: pathlib.Path, videos: Mapping[str, Mapping[str, dict]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"videos": {name: {"objects": objects} for name, objects in videos.items()}}
    (folder / "meta.json").write_text(json.dumps(content))
