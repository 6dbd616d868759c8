"""The pictures of a report page: small frames and masks as text, and which there is room for."""

import base64
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
from stm_jax.report.overlay import bright_palette, outline

BUDGET = 50_000_000
"""Characters for all pictures of a page, which a browser still opens in a few seconds."""
WIDEST, NARROWEST = 480, 160  # pixels
TYPICAL = 30_000  # characters of a frame and its two masks at the widest
QUALITY = 70
TINT = 115  # of 255
VOID_COLOUR = (255, 255, 255)
OUTLINE = 256  # colours from here on are outlines

Picture = list[str | None]
"""A frame, its truth and its prediction (WebP, PNG, PNG in base64; None: there is none), and what
is wrong with the prediction, if something is."""


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
    names = [frame.stem for frame in sequence.frames]
    files = find_predictions(predictions, sequence.name, names)
    pictures: dict[int, Picture] = {}
    spent = 0
    for index in [*always, *(i for i in _spread(sequence.wanted) if i not in always)]:
        if spent > budget and index not in always:
            break
        pictures[index] = _picture(sequence, index, files[index], width)
        spent += sum(len(part) for part in pictures[index] if part)
    return dict(sorted(pictures.items()))


def whole_picture(path: pathlib.Path) -> str:
    """Returns the picture in a file as WebP in base64."""
    return _encoded(Image.fromarray(read_rgb(path)), format="WEBP", quality=QUALITY, method=4)


def mask_picture(ids: UInt8[np.ndarray, "height width"]) -> str:
    """Returns a mask as a small palette PNG in base64, to be laid over its frame.

    Background is transparent; objects are tinted in their DAVIS colour and outlined in the same
    at full brightness; void is a white veil.
    """
    colour_of = np.where(outline(ids) & (ids != VOID), ids.astype(np.uint16) + OUTLINE, ids)
    used = np.flatnonzero(np.bincount(colour_of.ravel(), minlength=2 * OUTLINE))
    place = np.zeros(2 * OUTLINE, np.uint8)
    place[used[:256]] = np.arange(len(used[:256]))
    colours = np.concatenate([davis_palette(), bright_palette()])
    colours[VOID] = VOID_COLOUR
    alpha = np.full(2 * OUTLINE, TINT, np.uint8)
    alpha[0], alpha[OUTLINE:] = 0, 255
    image = Image.fromarray(place[colour_of])
    image.putpalette(colours[used[:256]].tobytes())
    return _encoded(image, format="PNG", transparency=alpha[used[:256]].tobytes())


def _picture(
    sequence: BenchmarkSequence, index: int, file: pathlib.Path | Problem, width: int
) -> Picture:
    frame = Image.fromarray(read_rgb(sequence.frames[index]))
    width = min(width, frame.width)
    size = width, max(1, round(frame.height * width / frame.width))
    truth = sequence.truth(index) if sequence.truths[index] is not None else None
    shape = (frame.height, frame.width) if truth is None else truth.shape
    ids = file
    if not isinstance(file, Problem):
        ids = read_prediction(file, shape, sequence.object_ids, sequence.merged)
    small = frame.resize(size, Image.Resampling.BOX if width < frame.width else None)
    return [
        _encoded(small, format="WEBP", quality=QUALITY, method=2),
        None if truth is None else _fitted(truth, size),
        _fitted(ids, size) if isinstance(ids, np.ndarray) else None,
        ids.text if isinstance(ids, Problem) and index in sequence.wanted else None,
    ]


def _fitted(ids: UInt8[np.ndarray, "height width"], size: tuple[int, int]) -> str:
    return mask_picture(np.array(Image.fromarray(ids).resize(size, Image.Resampling.NEAREST)))


def _encoded(image: Image.Image, **how: object) -> str:
    content = io.BytesIO()
    image.save(content, **how)  # pyright: ignore[reportArgumentType]
    return base64.b64encode(content.getvalue()).decode()


def _spread(frames: Sequence[int]) -> list[int]:
    """Returns the frames (at least one) in an order whose every beginning is spread evenly."""
    bits = max(len(frames) - 1, 0).bit_length()
    # Counting with the bits reversed: the beginning, the half, the quarters, ...
    reversed_bits = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits))
    return list(dict.fromkeys(frames[i * len(frames) >> bits] for i in reversed_bits))
