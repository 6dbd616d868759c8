"""Training clips: a few frames in order, cut from a video or made from a photograph."""

from typing import TypedDict

import numpy as np
from PIL import Image

from stm_jax.data.augment import PHOTOGRAPH, VIDEO, Ranges, View, recolored
from stm_jax.data.sources import Sample, Video, ids_of

ATTEMPTS = 8
SMALLEST_SHARE = 0.005  # of the crop: below this the object is taken to be out of view


class Clip(TypedDict):
    """A training clip.

    frames: (t, size, size, 3) uint8 RGB.
    masks: (t, size, size) uint8, 0 background, 1 the object.
    """

    frames: np.ndarray
    masks: np.ndarray


def clip_from_photograph(
    sample: Sample, background: Sample | None, rng: np.random.Generator, length: int, size: int
) -> Clip:
    """Moves a photograph by a random affine map a frame (paper section 3.5, pre-training).

    Args:
        sample: The photograph whose object is followed.
        background: If given, the object is cut out and moves over this photograph, which
            moves by maps of its own: so object and background part.
        rng: Draws everything.
        length: How many frames.
        size: Side of the square frames in pixels.
    """
    image, mask = _one_object(*sample.read(), rng)
    image = recolored(image, rng)
    backdrop = recolored(background.read()[0], rng) if background else None
    views, masks = _views_of_object([mask] * length, rng, PHOTOGRAPH, size)
    frames = np.stack([v.of(image, size) for v in views])
    if backdrop is not None:
        side = min(backdrop.size)
        base = View((backdrop.width / 2, backdrop.height / 2), side * rng.uniform(0.6, 0.9))
        moved = [base.strayed(rng, PHOTOGRAPH).of(backdrop, size) for _ in range(length)]
        frames = np.where(masks[..., None] > 0, frames, np.stack(moved))
    return {"frames": frames, "masks": masks}


def clip_from_video(
    video: Video, largest_skip: int, rng: np.random.Generator, length: int, size: int
) -> Clip:
    """Cuts frames in temporal order, each at most `largest_skip` frames left out after the last.

    Paper section 3.5, main training. In half of the clips time runs backwards.
    """
    indices = _frames_in_order(len(video.samples), largest_skip, rng, length)
    first_image, first_mask = video.samples[indices[0]].read()
    ids = ids_of(first_mask)
    object_id = rng.choice(ids) if len(ids) else 1
    read = [(first_image, first_mask)] + [video.samples[i].read() for i in indices[1:]]
    seed = rng.integers(2**32)  # one change of colour for the whole clip
    images = [recolored(image, np.random.default_rng(seed)) for image, _ in read]
    id_masks = [mask.point(lambda value: int(value == object_id)) for _, mask in read]
    views, masks = _views_of_object(id_masks, rng, VIDEO, size)
    frames = np.stack([v.of(image, size) for v, image in zip(views, images, strict=True)])
    return {"frames": frames, "masks": masks}


def _one_object(
    image: Image.Image, mask: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """Keeps one object of a mask, as id 1."""
    ids = ids_of(mask)
    chosen = rng.choice(ids) if len(ids) else 1
    return image, mask.point(lambda value: int(value == chosen))


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
    masks: list[Image.Image], rng: np.random.Generator, ranges: Ranges, size: int
) -> tuple[list[View], np.ndarray]:
    """Draws a view for each frame, the object in sight in the first, and renders the masks."""
    attempt = 0
    while True:
        view = _view_of_object(masks[0], rng, size)
        views = [view.strayed(rng, ranges) for _ in masks]
        rendered = np.stack([v.of(mask, size) for v, mask in zip(views, masks, strict=True)])
        attempt += 1
        if rendered[0].mean() > SMALLEST_SHARE or attempt == ATTEMPTS:
            return views, rendered


def _view_of_object(mask: Image.Image, rng: np.random.Generator, size: int) -> View:
    """Draws a square view with some pixel of the object near its middle.

    Its extent is drawn between what shows the object at 1.25 times its own size and the whole
    short side, evenly on a logarithmic scale.
    """
    rows, columns = np.nonzero(np.asarray(mask))
    short_side = min(mask.size)
    extent = float(np.exp(rng.uniform(np.log(min(size / 1.25, short_side)), np.log(short_side))))
    if len(rows):
        index = rng.integers(len(rows))
        center = np.array([columns[index], rows[index]], float)
    else:
        center = np.array(mask.size, float) / 2
    # Off the middle, and not far beyond the image's edges.
    center += rng.uniform(-0.25, 0.25, 2) * extent
    half = np.minimum(extent, np.array(mask.size)) / 2
    center = np.clip(center, half * 0.8, np.array(mask.size) - half * 0.8)
    return View((center[0], center[1]), extent, flip=bool(rng.random() < 0.5))
