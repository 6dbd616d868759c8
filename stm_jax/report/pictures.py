"""The pictures of a report page: small frames and masks as text, and which there is room for."""

import base64
import dataclasses
import io
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.benchmarks import BenchmarkSequence
from stm_jax.data.image_files import read_rgb
from stm_jax.data.mask_values import VOID
from stm_jax.data.palette import davis_palette
from stm_jax.eval.predictions import Problem, find_predictions, read_prediction
from stm_jax.report.film import film, mask_runs
from stm_jax.report.overlay import bright_palette

BUDGET = 50_000_000
"""Characters for all pictures of a page, which a browser still opens in a few seconds."""
WIDEST, NARROWEST = 480, 160  # pixels
TYPICAL = 6_000  # characters of a frame and its two masks at the widest
QUALITY = 70

Ids = UInt8[np.ndarray, "height width"]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A small frame.

    Attributes:
        rgb: The frame.
        truth: Its true mask; None if there is none.
        prediction: Its predicted mask; None if it cannot be used.
        problem: Why, if it is wanted.
    """

    rgb: UInt8[np.ndarray, "height width 3"]
    truth: Ids | None
    prediction: Ids | None
    problem: str | None


def worst_frames(values: Mapping[int, float], count: int) -> list[int]:
    """Returns the frames with the lowest values, worst first.

    Neighbours of a frame already taken are left out, a twentieth of the video on each side: the
    frames around a mistake all look like it.
    """
    reach = max(values, default=0) // 20
    worst: list[int] = []
    for frame in sorted(values, key=lambda frame: (values[frame], frame)):
        if len(worst) < count and all(abs(frame - other) > reach for other in worst):
            worst.append(frame)
    return worst


def picture_width(always: int, budget: int = BUDGET) -> int:
    """Returns how wide pictures may be, in pixels, if `always` of them must be on the page."""
    fits = (budget / (max(always, 1) * TYPICAL)) ** 0.5  # the size of a file goes with the area
    return max(NARROWEST, min(WIDEST, int(WIDEST * fits)))


def sequence_pictures(
    sequence: BenchmarkSequence,
    predictions: pathlib.Path,
    always: Iterable[int],
    width: int,
    budget: int,
) -> dict[int, Picture]:
    """Returns the pictures of the frames in `always`, and of as many others as the budget allows.

    The others are spread evenly over the video, and only those whose mask is wanted.

    Args:
      sequence: the frames and their truth.
      predictions: the folder with a folder of masks for each sequence.
      always: indices of frames.
      width: of the pictures, in pixels; smaller frames keep their size.
      budget: characters.
    """
    always = dict.fromkeys(always)
    others = [index for index in _spread(sequence.wanted) if index not in always]
    room = max(0, int(budget / (TYPICAL * (width / WIDEST) ** 2)) - len(always))
    names = [frame.stem for frame in sequence.frames]
    files = find_predictions(predictions, sequence.name, names)
    shown = sorted([*always, *others[:room]])
    return {index: _picture(sequence, index, files[index], width) for index in shown}


def as_text(pictures: Mapping[int, Picture]) -> dict[str, object]:
    """Returns what the page has of a sequence's pictures.

    The film of all frames and the runs of all masks, truth and prediction of one frame after the
    other, are in base64; `size` is the width and height of all; `problems` are by the frame.
    """
    first = next(iter(pictures.values()))
    height, width = first.rgb.shape[:2]
    frames = (resized(each.rgb, (width, height)) for each in pictures.values())
    masks = [mask for each in pictures.values() for mask in (each.truth, each.prediction)]
    masks = [None if mask is None else resized(mask, (width, height)) for mask in masks]
    return {
        "size": (width, height),
        "film": base64.b64encode(film(frames, (height, width))).decode(),
        "masks": base64.b64encode(mask_runs(masks)).decode(),
        "problems": {i: each.problem for i, each in pictures.items() if each.problem},
    }


def mask_colours(pictures: Iterable[Picture]) -> dict[int, tuple[list[int], list[int]]]:
    """Returns the colour inside and that of the outline of each id that a mask shows.

    They are the DAVIS colour and the same at full brightness; void is white, and has no outline.
    """
    masks = [mask for each in pictures for mask in (each.truth, each.prediction)]
    return colours_of({i for mask in masks if mask is not None for i in np.unique(mask).tolist()})


def colours_of(ids: Iterable[int]) -> dict[int, tuple[list[int], list[int]]]:
    """Returns the same of these ids."""
    inside, edge = davis_palette(), bright_palette()
    white = [255, 255, 255]
    return {
        i: (white, white) if i == VOID else (inside[i].tolist(), edge[i].tolist())
        for i in sorted(set(ids) - {0})
    }


def whole_picture(path: pathlib.Path) -> str:
    """Returns the picture in a file as WebP in base64."""
    content = io.BytesIO()
    Image.fromarray(read_rgb(path)).save(content, format="WEBP", quality=QUALITY, method=4)
    return base64.b64encode(content.getvalue()).decode()


def _picture(
    sequence: BenchmarkSequence, index: int, file: pathlib.Path | Problem, width: int
) -> Picture:
    frame = read_rgb(sequence.frames[index])
    width = min(width, frame.shape[1])
    size = width, max(1, round(frame.shape[0] * width / frame.shape[1]))
    truth = sequence.truth(index) if sequence.truths[index] is not None else None
    shape = frame.shape[:2] if truth is None else truth.shape
    ids = file
    if not isinstance(file, Problem):
        ids = read_prediction(file, shape, sequence.object_ids, sequence.merged)
    return Picture(
        resized(frame, size),
        None if truth is None else resized(truth, size),
        resized(ids, size) if isinstance(ids, np.ndarray) else None,
        ids.text if isinstance(ids, Problem) and index in sequence.wanted else None,
    )


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns a frame or a mask at a width and height."""
    if picture.shape[1::-1] == size:
        return picture
    how = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BOX
    return np.array(Image.fromarray(picture).resize(size, how))


def _spread(frames: Sequence[int]) -> list[int]:
    """Returns the frames (at least one) in an order whose every beginning is spread evenly."""
    bits = max(len(frames) - 1, 0).bit_length()
    # Counting with the bits reversed: the beginning, the half, the quarters, ...
    reversed_bits = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits))
    return list(dict.fromkeys(frames[i * len(frames) >> bits] for i in reversed_bits))
