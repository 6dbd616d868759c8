"""Training clips: a few frames in order, cut from a video or made from a photograph."""

import dataclasses
from collections.abc import Sequence
from typing import TypedDict

import cv2
import numpy as np
from jaxtyping import Float

from stm_jax.data.camera import worn
from stm_jax.data.dust import clouded
from stm_jax.data.light import DRIFTING_SHARE, drift, grey, random_color, recolored
from stm_jax.data.pasting import Layer, Thing, paste, side_of, thing_of
from stm_jax.data.paths import PHOTOGRAPH, VIDEO, Motion, Ranges, bent, path, random_motion
from stm_jax.data.samples import Sample, Video, counts_of, ids_of
from stm_jax.data.views import View, box_of
from stm_jax.errors import InputError

ATTEMPTS = 8
SMALLEST_SHARE = 0.0015  # of the crop: a smaller object is not followed, if there is another
IN_SIGHT = 0.005  # of the crop: what a view of the clip's own object should show of it
INSIDE = 0.8  # of the crop: what every view should show of the picture, not of what is beyond
OFF_MIDDLE = 0.25  # of the crop's side: how far from its middle the object is placed
FOLLOWING = (0.0, 1.0)  # shares of an object's way in a video that the views go with it
GREY_SHARE = 0.1  # of the clips: without colour, so that texture and shape are learnt as well


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

    In half of the clips the maps come from a smooth path instead. Beyond the paper, things may be
    pasted, bent, hidden for a while, dusty, blurred, and the light may change.

    Args:
        sample: The photograph.
        pasted: Further objects, each of which moves by maps of its own over the photograph. Some
            give their place to a copy of an object that is there.
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
    motion = random_motion(rng, len(samples))
    views, ids, target = _views_of_object(masks, rng, ranges, motion, size)
    shrink = _shrink(min(view.extent for view in views) / size)
    # A photograph's frames are all of one picture.
    pictures = {sample: sample.rgb(masks[0].shape, shrink) for sample in dict.fromkeys(samples)}
    frames = np.empty((len(samples), size, size, 3), np.uint8)
    for frame, view, sample in zip(frames, views, samples, strict=True):
        picture = pictures[sample]
        frame[:] = view.of(picture, size, round(masks[0].shape[0] / picture.shape[0]))
    change = random_color(frames[0], rng)
    frames = recolored(frames, change)
    if pasted:
        own = None
        if target and (ids[0] == target).any():
            own = _own_thing(pictures[samples[0]], masks[0] == target, views[0].extent)
            own = own._replace(picture=recolored(own.picture, change))
        paste(frames, ids, pasted, own, motion, rng)
    followed = _followed(ids, rng, objects)
    frames = clouded(frames, rng)
    if rng.random() < DRIFTING_SHARE:
        for frame, change in zip(frames, drift(frames[0], len(frames), rng), strict=True):
            frame[:] = recolored(frame, change)
    if rng.random() < GREY_SHARE:
        frames = recolored(frames, grey())
    return {"frames": worn(frames, motion.shake, rng), "masks": followed}


def _shrink(reduction: float) -> int:
    """Returns how many times smaller a JPEG is decoded that a view reduces: 1, 2, 4 or 8."""
    return next((shrink for shrink in (8, 4, 2) if shrink <= reduction), 1)


def _own_thing(picture: np.ndarray, mask: np.ndarray, extent: float) -> Thing:
    """Cuts the clip's own object out of its first picture, which may have been shrunk."""
    layer = mask.view(np.uint8)
    fitting = cv2.resize(layer, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return thing_of((picture, fitting), side_of(layer) / extent, margin=8)


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
    motion: Motion,
    size: int,
) -> tuple[list[View], np.ndarray, int]:
    """Draws a view for each frame, some object in sight in the first, none far off the image.

    Returns them, the ids as they are rendered, and the object's.
    """
    ids = ids_of(masks[0])
    target = int(rng.choice(ids)) if len(ids) else 0
    way = _way_of(target, masks)
    attempt = 0
    while True:
        attempt += 1
        start = _view_of_object(masks[0] == target, rng, size)
        corner = start.center[0] - start.extent / 2, start.center[1] - start.extent / 2
        views = bent(path(start, ranges, motion, rng), corner, start.extent, rng)
        goes_with = rng.uniform(*FOLLOWING)
        views = [
            dataclasses.replace(view, center=tuple(view.center + goes_with * gone))
            for view, gone in zip(views, way, strict=True)
        ]
        first = views[0].of(masks[0], size)
        sides = np.array(masks[0].shape[::-1], float)
        inside = all(view.inside(sides) > INSIDE for view in views)
        if (inside and (first == target).mean() > IN_SIGHT) or attempt == ATTEMPTS:
            rest = [view.of(mask, size) for view, mask in zip(views[1:], masks[1:], strict=True)]
            return views, np.stack([first, *rest]), target


def _way_of(target: int, masks: Sequence[np.ndarray]) -> Float[np.ndarray, "t 2"]:
    """Returns how far the object is from where it was first, (x, y); out of sight it stays."""
    way = np.zeros((len(masks), 2))
    if masks[0] is masks[-1]:  # a photograph
        return way
    begin = None
    for t, mask in enumerate(masks):
        box = box_of(mask == target)
        way[t] = way[t - 1]
        if box is not None:
            middle = np.array([(side.start + side.stop) / 2 for side in box[::-1]])
            begin = middle if begin is None else begin
            way[t] = middle - begin
    return way


def _view_of_object(mask: np.ndarray, rng: np.random.Generator, size: int) -> View:
    """Draws a square view with some pixel of the object near its middle.

    Its extent is drawn between what shows the object at 1.25 times its own size and the whole
    short side, evenly on a logarithmic scale.
    """
    shown = np.flatnonzero(mask)
    sides = np.array(mask.shape[::-1], float)
    short_side = sides.min()
    extent = float(np.exp(rng.uniform(np.log(min(size / 1.25, short_side)), np.log(short_side))))
    row, column = divmod(int(rng.choice(shown)), mask.shape[1])
    center = np.array([column, row]) + rng.uniform(-OFF_MIDDLE, OFF_MIDDLE, 2) * extent
    # Not far beyond the image's edges: what lies there is no picture.
    half = np.minimum(extent, sides) / 2
    center = np.clip(center, half * 0.8, sides - half * 0.8)
    return View((center[0], center[1]), extent, flip=bool(rng.random() < 0.5))
