"""How good the masks are that a box or scribbles give, by method: a Markdown table.

    python tools/assist_gain.py DAVIS/Annotations/480p/*

Each folder of masks is a sequence whose frames are in JPEGImages beside Annotations; its first mask
that shows something says where the object is. The box is that of the mask, a twentieth larger to
all sides. The scribbles are a thin line through the middle of the object, as its skeleton has it,
and a rectangle around the box. Needs pip install scikit-image.
"""

import dataclasses
import pathlib
import sys
import time
from collections.abc import Iterator

import cv2
import numpy as np
import tyro
from skimage.morphology import skeletonize
from skimage.segmentation import random_walker

from stm_jax.data.image_files import read_rgb
from stm_jax.data.listing import entries
from stm_jax.data.masks import read_mask
from stm_jax.eval.davis import region_similarity
from stm_jax.paint.assist import Cut, assisted, grab_cut
from stm_jax.paint.messages import Scribble

Hints = dict[str, tuple[tuple[int, int, int, int] | None, tuple[Scribble, ...]]]


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    sequences: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Folders of masks; give none that results are reported on."""


def walk(picture: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Divides pixels by the random walker (Grady, PAMI 2006) of scikit-image, as it comes."""
    seeds = np.zeros(marks.shape, np.int32)
    seeds[marks == cv2.GC_FGD], seeds[marks == cv2.GC_BGD] = 1, 2
    if not (seeds == 1).any():  # a box alone: its middle is taken for the object
        rows, columns = np.nonzero(marks == cv2.GC_PR_FGD)
        near = np.abs(rows - rows.mean()) < 0.15 * (np.ptp(rows) + 1)
        near &= np.abs(columns - columns.mean()) < 0.15 * (np.ptp(columns) + 1)
        seeds[rows[near], columns[near]] = 1
    return random_walker(picture / 255.0, seeds, mode="cg_j", channel_axis=-1) == 1


METHODS: dict[str, Cut] = {"GrabCut": grab_cut, "random walker": walk}


def hints_of(mask: np.ndarray) -> Hints:
    """Returns what a person would draw."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    left, right, top, bottom = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    dx, dy = round(0.05 * (right - left)) + 1, round(0.05 * (bottom - top)) + 1
    box = int(left - dx), int(top - dy), int(right + dx), int(bottom + dy)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    middle = skeletonize(mask & (depth > 0.35 * depth.max()))
    points = [((int(x), int(y)),) for y, x in np.argwhere(middle)]
    on = tuple(Scribble(each, 1, True) for each in points)
    dx, dy = 3 * dx, 3 * dy
    around = ((left - dx, top - dy), (right + dx, top - dy), (right + dx, bottom + dy))
    around = (*around, (left - dx, bottom + dy), around[0])
    beside = Scribble(tuple((int(x), int(y)) for x, y in around), 1, False)
    return {"a box": (box, ()), "scribbles": (None, (*on, beside)), "both": (box, (*on, beside))}


def first_frames(sequences: tuple[pathlib.Path, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields of each sequence the first frame that shows an object, and the largest object."""
    for folder in sequences:
        file = next(each for each in sorted(entries(folder)) if read_mask(each).any())
        ids = read_mask(file)
        largest = np.bincount(ids[ids > 0]).argmax()
        root, split = folder.parent.parent.parent, folder.parent.name
        frame = root / "JPEGImages" / split / folder.name / f"{file.stem}.jpg"
        yield read_rgb(frame), ids == largest


def main(options: Options) -> None:
    """Prints the table."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for frame, mask in first_frames(options.sequences):
        for kind, (box, scribbles) in hints_of(mask).items():
            for method, cut in METHODS.items():
                begun = time.monotonic()
                answer = assisted(frame, box, scribbles, cut)
                seconds = time.monotonic() - begun
                j = region_similarity(answer > 0, mask)
                found.setdefault((method, kind), []).append((j, seconds))
                print(f"{method}, {kind}: {j:.3f}, {seconds:.2f} s", file=sys.stderr)
    print("| method | given | mean J | worst J | J above 0.8 | seconds |")
    print("|" + " --- |" * 6)
    for (method, kind), each in found.items():
        js, seconds = np.array(each).T
        print(
            f"| {method} | {kind} | {js.mean():.3f} | {js.min():.3f} | {(js > 0.8).sum()} of"
            f" {len(js)} | {np.median(seconds):.2f} |"
        )


if __name__ == "__main__":
    main(tyro.cli(Options))
