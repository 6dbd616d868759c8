"""Made-up sets in the layouts of MOSE, LVOS, VOST, BURST and Long-time Video, a few pixels each."""

import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from stm_jax.data.benchmarks import BenchmarkSequence, benchmark_sequences
from stm_jax.data.coco import compressed, runs_of
from stm_jax.data.protocols import Protocol
from tests.benchmark_trees import write_palette
from tests.lively import clip
from tests.scored_trees import moving

CAT, DOG, LAMP, DISTRACTOR = 4, 13, 600, 20
"""LVIS's numbers; what those of the first two are called matters to nobody here."""


def frames(folder: pathlib.Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for name, frame in zip(names, clip(len(names), 24, 36), strict=True):
        Image.fromarray(frame).save(folder / name)


def masks(folder: pathlib.Path, of_frames: Mapping[str, np.ndarray]) -> None:
    for name, ids in of_frames.items():
        write_palette(folder / f"{name}.png", ids)


def late(count: int, first: int) -> np.ndarray:
    """Returns masks of 1, and of 2 from frame `first` on."""
    ids = moving(count)
    ids[:first][ids[:first] == 2] = 0
    return ids


def mose(root: pathlib.Path) -> None:
    """Writes `train`, "fish" of 6 frames with 1 and, from frame 2, 2; `valid` has a first mask."""
    names = [f"{t:05d}" for t in range(6)]
    for split, known in (("train", names), ("valid", names[:1])):
        for video, truth in (("fish", late(6, 2)), ("bird", moving(6))):
            frames(root / split / "JPEGImages" / video, [f"{name}.jpg" for name in names])
            of_frames = dict(zip(names, truth, strict=True))
            masks(root / split / "Annotations" / video, {n: of_frames[n] for n in known})


def lvos(root: pathlib.Path) -> None:
    """Writes `valid`, frames 1, 6, ... 36: "calm" with 1; "odd", unseen, with 1, and 2 from 11 on.

    Object 2 of "odd" is annotated up to frame 31.
    """
    names = [f"{number:08d}" for number in range(1, 37, 5)]

    def span(start: int, end: int, count: int) -> dict:
        return {"frame_range": {"start": f"{start:08d}", "end": f"{end:08d}", "frame_nums": count}}

    truths = {"calm": moving(8, (1,)), "odd": late(8, 2)}
    objects = {
        # Whether `end` belongs to the range makes no difference: either way is read here.
        "calm": {"1": span(1, 36, 8)},
        "odd": {"1": span(1, 37, 8), "2": span(11, 32, 5)},
    }
    for video, truth in truths.items():
        frames(root / "valid/JPEGImages" / video, [f"{name}.jpg" for name in names])
        masks(root / "valid/Annotations" / video, dict(zip(names, truth, strict=True)))
    meta = {"videos": {video: {"objects": each} for video, each in objects.items()}}
    (root / "valid/valid_meta.json").write_text(json.dumps(meta))
    (root / "valid/unseen_videos.txt").write_text("odd\n")


def vost(root: pathlib.Path) -> None:
    """Writes "cut", 19 frames at 10 a second, every other of which has a mask of 1 and later 2.

    The masks' upper right corner is void.
    """
    names = [f"frame{t:05d}" for t in range(19)]
    frames(root / "JPEGImages_10fps/cut", [f"{name}.jpg" for name in names])
    frames(root / "JPEGImages/cut", [f"{name}.jpg" for name in names[::2]])
    truth = late(19, 6)
    truth[:, :4, 30:] = 255
    masks(root / "Annotations/cut", dict(zip(names[::2], truth[::2], strict=True)))
    (root / "ImageSets").mkdir()
    (root / "ImageSets/val.txt").write_text("cut\n")


def long_video(root: pathlib.Path) -> None:
    """Writes "rat", 12 frames of which 0, 3, 6 and 9 have a mask."""
    names = [f"{t:05d}" for t in range(12)]
    frames(root / "JPEGImages/rat", [f"{name}.jpg" for name in names])
    masks(root / "Annotations/rat", dict(zip(names[::3], moving(12, (1,))[::3], strict=True)))


def burst(root: pathlib.Path) -> None:
    """Writes two videos of 9 frames, of which 0, 2, 4, 6 and 8 are annotated.

    HACS/run: a cat, 3, and a dog, 7, from frame 4 on; nothing is seen in frame 6. AVA/sit: a lamp,
    1, and from frame 2 on a distractor, 2, both of which are gone in frame 8.
    """
    names = [f"frame{t:04d}.jpg" for t in range(9)]
    running, sitting = late(9, 4), late(9, 2)
    running = np.choose(running, (0, 3, 7)).astype(np.uint8)
    running[6] = sitting[8] = 0

    def video(number: int, source: str, name: str, truth: np.ndarray, classes: dict) -> dict:
        frames(root / "frames/val" / source / name, names)
        shown = [
            {
                str(i): {"rle": compressed(runs_of(truth[t] == i)), "is_gt": True}
                for i in np.unique(truth[t]).tolist()
                if i
            }
            for t in range(0, 9, 2)
        ]
        return {
            **{"id": number, "dataset": source, "seq_name": name, "width": 36, "height": 24},
            **{"fps": 30, "neg_category_ids": [], "not_exhaustive_category_ids": []},
            **{"all_image_paths": names, "annotated_image_paths": names[::2]},
            **{"track_category_ids": classes, "segmentations": shown},
        }

    videos = [
        video(1, "HACS", "run", running, {"3": CAT, "7": DOG}),
        video(2, "AVA", "sit", sitting, {"1": LAMP, "2": DISTRACTOR}),
    ]
    categories = [{"id": i, "name": f"thing {i}"} for i in (CAT, DOG, LAMP, DISTRACTOR)]
    content = {"categories": categories, "split": "val"}
    folder = root / "annotations/val"
    folder.mkdir(parents=True)
    common = content | {"sequences": videos[:1]}
    (folder / "all_classes.json").write_text(json.dumps(content | {"sequences": videos}))
    (folder / "common_classes.json").write_text(json.dumps(common))


WRITERS = {"mose": mose, "lvos": lvos, "vost": vost, "burst": burst, "long-video": long_video}
SPLITS = {"mose": "train"}


def made(root: pathlib.Path, protocol: Protocol) -> tuple[BenchmarkSequence, ...]:
    """Writes the set and reads it; of MOSE the split whose masks are public."""
    WRITERS[protocol](root)
    return benchmark_sequences(root, protocol, SPLITS.get(protocol, "val"))


def answer(folder: pathlib.Path, sequences: Sequence[BenchmarkSequence]) -> None:
    """Writes the true masks of the objects as predictions, background where there is none."""
    for sequence in sequences:
        for index in sequence.wanted:
            path = folder / sequence.name / f"{sequence.frames[index].stem}.png"
            known = sequence.truths[index] is not None
            ids = sequence.truth(index) if known else np.zeros((24, 36), np.uint8)
            ids = np.where(np.isin(ids, sequence.object_ids), ids, 0)
            write_palette(path, ids.astype(np.uint8))
