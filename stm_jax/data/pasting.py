"""Things that are cut out of photographs and move over a clip, each with an id of its own."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.data.light import likeness, random_color, recolored
from stm_jax.data.paths import PHOTOGRAPH, STILL, Motion, bent, crossing, hidden_frames, path
from stm_jax.data.samples import Sample, counts_of
from stm_jax.data.views import View, box_of

LARGE_ENOUGH = 0.005  # of a photograph: an instance of it that is worth pasting
SIZES = (0.04, 0.7)  # of the crop's side: small things as often as large ones
SHARPEST = 1.25  # times larger than in its photograph: beyond, a thing is soft
LOOK_ALIKE_SHARE = 0.5  # of what is pasted: coloured like the objects that are there
COPY_SHARE = 0.3  # of what is pasted: one more of a thing that is there
STILL_SHARE, CROSSING_SHARE = 0.25, 0.2  # of what is pasted; the rest moves like photographs
OFF_MIDDLE = 0.45  # of the crop's side: how far from its middle a thing is placed

Layer = tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]
"""Something to paste: an RGB picture, and a mask of it that is 1 where it is pasted, else 0."""


class Thing(NamedTuple):
    """Something that is in a clip, of which there may be copies.

    picture: (h, w, 3) uint8 RGB, in the colours that it has in the clip.
    mask: (h, w) uint8, 1 where the thing is, else 0.
    share: The side of its box in the clip, as a share of the crop's.
    """

    picture: np.ndarray
    mask: np.ndarray
    share: float


def layer_from(sample: Sample, shape: Sample | None, rng: np.random.Generator) -> Layer:
    """Cuts one object out of a photograph, to be pasted.

    Args:
        sample: The photograph.
        shape: If given, what is cut out has the outline of this photograph's object, and shows
            whatever `sample` has there: a thing that strikes no eye, to be followed all the same.
        rng: Draws the object where there are several.
    """
    if shape is None:
        picture, ids = sample.read_with_object()
        return picture, _one_of(ids, rng)
    picture, ids = sample.read()
    outline = _one_of(shape.ids_with_object(), rng)
    return picture, cv2.resize(outline, ids.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _one_of(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the mask of one of the objects, drawn from those that are large enough."""
    areas = counts_of(ids)[1:]
    large = 1 + np.flatnonzero(areas > LARGE_ENOUGH * ids.size)
    chosen = rng.choice(large) if len(large) else 1 + areas.argmax()
    return (ids == chosen).astype(np.uint8)


def thing_of(layer: Layer, share: float, margin: int) -> Thing:
    """Cuts the thing out of a layer; the margin around it is what its edges are mixed with."""
    picture, mask = layer
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in _box(mask))
    return Thing(picture[rows, columns], mask[rows, columns], share)


def side_of(mask: UInt8[np.ndarray, "height width"]) -> float:
    """Returns the side of the square that is as large as the box of what is shown."""
    rows, columns = _box(mask)
    return float(np.sqrt((rows.stop - rows.start) * (columns.stop - columns.start)))


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    return box_of(mask > 0) or (slice(0, 1), slice(0, 1))


def paste(
    frames: UInt8[np.ndarray, "t size size 3"],
    ids: UInt8[np.ndarray, "t size size"],
    layers: Sequence[Layer],
    own: Thing | None,
    motion: Motion,
    rng: np.random.Generator,
) -> None:
    """Pastes layers over the frames, in views of their own; each gets the next id.

    In the place of some comes a copy of a thing that is there already: another object.

    Args:
        frames: RGB, pasted over in place.
        ids: The objects in the frames, pasted over in place.
        layers: What to paste, the last on top.
        own: An object of the clip, to copy.
        motion: Of the clip.
        rng: Draws all else.
    """
    there = [] if own is None else [own]
    size = frames.shape[1]
    model, shown_in_model = frames[0].copy(), ids[0] > 0
    for layer in layers:
        if there and rng.random() < COPY_SHARE:
            thing = there[rng.integers(len(there))]
            share = min(SIZES[1], thing.share * np.exp(rng.uniform(-0.4, 0.4)))
            thing = _fitting(thing._replace(share=share), size)
            change = random_color(thing.picture, rng, 0.05)
            thing = thing._replace(picture=recolored(thing.picture, change))
        else:
            share = float(np.exp(rng.uniform(*np.log(SIZES))))
            margin = 2 + round(2 * max(layer[1].shape) / (share * size))
            thing = _fitting(thing_of(layer, share, margin), size)
            thing = _colored(thing, model, shown_in_model, rng)
            there.append(thing)
        _paste(frames, ids, thing, motion, rng)


def _fitting(thing: Thing, size: int) -> Thing:
    """Shrinks a thing that is shown much smaller than it is, unless nothing of it would be left.

    A view takes single pixels of what it reduces: of thin parts it would take some and not others.
    """
    reduction = side_of(thing.mask) / (thing.share * size)
    if reduction <= 1.5:
        return thing
    height, width = thing.mask.shape
    shrunk = max(1, round(width / reduction)), max(1, round(height / reduction))
    covered = cv2.resize(thing.mask * np.uint8(255), shrunk, interpolation=cv2.INTER_AREA)
    mask = (covered > 127).astype(np.uint8)
    picture = cv2.resize(thing.picture, shrunk, interpolation=cv2.INTER_AREA)
    return thing._replace(picture=picture, mask=mask) if mask.any() else thing


def _colored(
    thing: Thing,
    model: UInt8[np.ndarray, "size size 3"],
    shown_in_model: Bool[np.ndarray, "size size"],
    rng: np.random.Generator,
) -> Thing:
    picture = recolored(thing.picture, random_color(thing.picture, rng))
    if rng.random() < LOOK_ALIKE_SHARE:
        alike = likeness(picture, thing.mask > 0, model, shown_in_model, rng)
        picture = recolored(picture, alike)
    return thing._replace(picture=picture)


def _paste(
    frames: np.ndarray, ids: np.ndarray, thing: Thing, motion: Motion, rng: np.random.Generator
) -> None:
    """Pastes a thing, where it is not hidden. Only where it lies is it rendered."""
    size = frames.shape[1]
    number = min(int(ids.max()) + 1, 255)
    views = _views(thing, size, motion, rng)
    hidden = hidden_frames(rng, len(frames))
    for t in np.flatnonzero(~hidden):
        over = views[t].of(thing.mask, size) > 0
        box = box_of(over)
        if box is not None:
            patch = views[t].part_of(thing.picture, size, box)
            frames[t][box] = cv2.copyTo(patch, over[box].view(np.uint8), frames[t][box])
            ids[t][over] = number


def _views(thing: Thing, size: int, motion: Motion, rng: np.random.Generator) -> list[View]:
    """Draws a path that starts, or that of a thing that crosses passes, in the crop."""
    side = side_of(thing.mask)
    extent = max(side / thing.share, size / SHARPEST)
    row, column = divmod(int(rng.choice(np.flatnonzero(thing.mask))), thing.mask.shape[1])
    start = View((column + 0.5, row + 0.5), extent, flip=bool(rng.random() < 0.5))
    start = start.shifted(*rng.uniform(-OFF_MIDDLE, OFF_MIDDLE, 2))
    start = dataclasses.replace(start, rotation=rng.uniform(-1, 1) * PHOTOGRAPH.rotation)
    kind = rng.random()
    if kind < CROSSING_SHARE:
        views = crossing(start, motion, rng)
    else:
        ranges = STILL if kind < CROSSING_SHARE + STILL_SHARE else PHOTOGRAPH
        views = path(start, ranges, motion, rng)
    height, width = thing.mask.shape
    square = max(height, width)
    corner = ((width - square) / 2, (height - square) / 2)
    return bent(views, corner, square, rng)
