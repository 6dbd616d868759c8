"""Training clips: a few frames in order, cut from a video or made from a photograph."""

from collections.abc import Sequence
from typing import TypedDict

import cv2
import numpy as np
from jaxtyping import UInt8

from stm_jax.data.augment import (
    PHOTOGRAPH,
    VIDEO,
    Ranges,
    View,
    box_of,
    grey,
    likeness,
    random_color,
    recolored,
)
from stm_jax.data.samples import Sample, Video, counts_of, ids_of
from stm_jax.errors import InputError

ATTEMPTS = 8
SMALLEST_SHARE = 0.005  # of the crop: below this the object is taken to be out of view
OFF_MIDDLE = 0.25  # of the crop's side: how far from its middle the object is placed
OFF_MIDDLE_PASTED = 0.45
GREY_SHARE = 0.1  # of the clips: without colour, so that texture and shape are learnt as well
LOOK_ALIKE_SHARE = 0.5  # of what is pasted: coloured like the objects that are there

Layer = tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]
"""Something to paste: an RGB picture, and a mask of it that is 0 where nothing is pasted."""


class Clip(TypedDict):
    """A training clip.

    frames: (t, size, size, 3) uint8 RGB.
    masks: (t, size, size) uint8, 0 background, 1 and up the objects to follow.
    """

    frames: np.ndarray
    masks: np.ndarray


def clip_from_photograph(
    sample: Sample,
    pasted: Sequence[Layer],
    rng: np.random.Generator,
    length: int,
    size: int,
    objects: int = 1,
) -> Clip:
    """Moves a photograph by a random affine map a frame (paper section 3.5, pre-training).

    Args:
        sample: The photograph.
        pasted: Further objects, each of which moves by maps of its own over the photograph.
        rng: Draws everything.
        length: How many frames.
        size: Side of the square frames in pixels.
        objects: The most objects that are followed. Which ones is drawn from all that are in
            sight in the first frame; the others are there to be told apart from them.

    Raises:
        InputError: A file cannot be used, or shows no object.
    """
    masks = [sample.ids_with_object()] * length
    return _clip([sample] * length, masks, PHOTOGRAPH, pasted, rng, size, objects)


def clip_from_video(
    video: Video,
    largest_skip: int,
    pasted: Sequence[Layer],
    rng: np.random.Generator,
    length: int,
    size: int,
    objects: int = 1,
) -> Clip:
    """Cuts frames in temporal order, each at most `largest_skip` frames left out after the last.

    Paper section 3.5, main training. In half of the clips time runs backwards. An object that
    comes later than the clip's first frame is background. The other arguments are those of
    `clip_from_photograph`.

    Raises:
        InputError: A file cannot be used, the frames have two sizes, or none of the video's masks
            shows an object.
    """
    skip = largest_skip // video.every
    indices = _frames_in_order(len(video.samples), skip, rng, length)
    samples = [video.samples[i] for i in indices]
    masks = [sample.ids() for sample in samples]
    _check_video(video, samples, masks)
    return _clip(samples, masks, VIDEO, pasted, rng, size, objects)


def _check_video(video: Video, samples: Sequence[Sample], masks: Sequence[np.ndarray]) -> None:
    folder = video.samples[0].image.parent
    sizes = {mask.shape for mask in masks}
    if len(sizes) > 1:
        for sample in samples:
            sample.read()  # names a mask that is not of its frame's size
        found = " and of ".join(sorted(f"{width}x{height}" for height, width in sizes))
        raise InputError(f"{folder} has frames of {found} pixels; make their sizes equal")
    # The objects may be out of sight for a while, but not all the time.
    if not any(mask.any() for mask in masks) and not any(
        sample.ids().any() for sample in video.samples
    ):
        raise InputError(f"no mask of {folder} shows an object; remove the video or its masks")


def layer_from(sample: Sample, shape: Sample | None) -> Layer:
    """Cuts something to paste out of a photograph.

    Args:
        sample: The photograph.
        shape: If given, what is cut out has the outline of this photograph's object, and shows
            whatever `sample` has there: a thing that strikes no eye, to be followed all the same.
    """
    if shape is None:
        return sample.read_with_object()
    picture, mask = sample.read()
    outline = cv2.resize(
        shape.ids_with_object(), mask.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT
    )
    return picture, outline


def _clip(
    samples: Sequence[Sample],
    masks: Sequence[np.ndarray],
    ranges: Ranges,
    pasted: Sequence[Layer],
    rng: np.random.Generator,
    size: int,
    objects: int,
) -> Clip:
    """Renders views of the frames, pastes over them, and draws what is followed."""
    views, ids = _views_of_object(masks, rng, ranges, size, OFF_MIDDLE)
    shrink = _shrink(min(view.extent for view in views) / size)
    # A photograph's frames are all of one picture.
    pictures = {sample: sample.rgb(masks[0].shape, shrink) for sample in dict.fromkeys(samples)}
    frames = np.empty((len(samples), size, size, 3), np.uint8)
    for frame, view, sample in zip(frames, views, samples, strict=True):
        picture = pictures[sample]
        frame[:] = view.of(picture, size, round(masks[0].shape[0] / picture.shape[0]))
    frames = recolored(frames, random_color(frames[0], rng))
    for layer in pasted:
        _paste(frames, ids, layer, rng)
    if rng.random() < GREY_SHARE:
        frames = recolored(frames, grey())
    return {"frames": frames, "masks": _followed(ids, rng, objects)}


def _shrink(reduction: float) -> int:
    """Returns how many times smaller a JPEG is decoded that a view reduces: 1, 2, 4 or 8."""
    return next((shrink for shrink in (8, 4, 2) if shrink <= reduction), 1)


def _paste(frames: np.ndarray, ids: np.ndarray, layer: Layer, rng: np.random.Generator) -> None:
    """Pastes a layer over the frames, in views of its own, and gives it the next id.

    Only where it lies is it rendered, and its colours are changed.
    """
    picture, mask = layer
    size = frames.shape[1]
    look_alike = rng.random() < LOOK_ALIKE_SHARE
    model, shown_in_model = frames[0].copy(), ids[0] > 0
    views, shape = _views_of_object([mask] * len(frames), rng, PHOTOGRAPH, size, OFF_MIDDLE_PASTED)
    number = min(int(ids.max()) + 1, 255)
    change = None
    for frame, frame_ids, view, over in zip(frames, ids, views, shape > 0, strict=True):
        box = box_of(over)
        if box is None:
            continue
        patch, over = view.part_of(picture, size, box), over[box]
        if change is None:  # one for the whole clip
            change = random_color(patch, rng)
            if look_alike:
                alike = likeness(recolored(patch, change), over, model, shown_in_model, rng)
                change = alike @ np.vstack([change, [0, 0, 0, 1]])
        frame[box] = cv2.copyTo(recolored(patch, change), over.view(np.uint8), frame[box])
        frame_ids[box][over] = number


def _followed(ids: np.ndarray, rng: np.random.Generator, objects: int) -> np.ndarray:
    """Numbers the drawn objects from 1; all else becomes background."""
    areas = counts_of(ids[0])[1:] / ids[0].size
    in_sight = 1 + np.flatnonzero(areas > SMALLEST_SHARE)
    if not len(in_sight):  # a tiny object is better than none
        in_sight = 1 + np.flatnonzero(areas)
    chosen = rng.permutation(in_sight)[:objects]
    numbers = np.zeros(256, np.uint8)
    numbers[chosen] = np.arange(1, len(chosen) + 1)
    return cv2.LUT(ids.reshape(-1, ids.shape[-1]), numbers).reshape(ids.shape)


def _frames_in_order(
    count: int, largest_skip: int, rng: np.random.Generator, length: int
) -> np.ndarray:
    """Draws indices of frames, ascending, or in half of the cases descending."""
    steps = 1 + rng.integers(0, largest_skip + 1, length - 1)
    indices = np.concatenate([[0], np.cumsum(steps)])
    if indices[-1] > count - 1:  # a short video: shrink the steps, keep the order
        indices = np.linspace(0, count - 1, length).round().astype(int)
    indices = indices + rng.integers(0, count - indices[-1])
    return indices[::-1] if rng.random() < 0.5 else indices


def _views_of_object(
    masks: Sequence[np.ndarray],
    rng: np.random.Generator,
    ranges: Ranges,
    size: int,
    off_middle: float,
) -> tuple[list[View], np.ndarray]:
    """Draws a view for each frame, some object in sight in the first, and renders the ids."""
    ids = ids_of(masks[0])
    target = rng.choice(ids) if len(ids) else 0
    attempt = 0
    while True:
        view = _view_of_object(masks[0] == target, rng, size, off_middle)
        views = [view.strayed(rng, ranges) for _ in masks]
        rendered = np.stack([v.of(mask, size) for v, mask in zip(views, masks, strict=True)])
        attempt += 1
        if (rendered[0] == target).mean() > SMALLEST_SHARE or attempt == ATTEMPTS:
            return views, rendered


def _view_of_object(
    mask: np.ndarray, rng: np.random.Generator, size: int, off_middle: float
) -> View:
    """Draws a square view with some pixel of the object near its middle.

    Its extent is drawn between what shows the object at 1.25 times its own size and the whole
    short side, evenly on a logarithmic scale.
    """
    shown = np.flatnonzero(mask)
    sides = np.array(mask.shape[::-1], float)
    short_side = sides.min()
    extent = float(np.exp(rng.uniform(np.log(min(size / 1.25, short_side)), np.log(short_side))))
    if len(shown):
        row, column = divmod(int(rng.choice(shown)), mask.shape[1])
        center = np.array([column, row], float)
    else:
        center = sides / 2
    center += rng.uniform(-off_middle, off_middle, 2) * extent
    if off_middle == OFF_MIDDLE:
        # Not far beyond the image's edges: what lies there is no picture.
        half = np.minimum(extent, sides) / 2
        center = np.clip(center, half * 0.8, sides - half * 0.8)
    return View((center[0], center[1]), extent, flip=bool(rng.random() < 0.5))
