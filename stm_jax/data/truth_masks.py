"""Reads the masks of data sets, in which a value is an object and void (255) stays void.

What the masks of a data set are is a property of the data set, not of a picture: its caller says
so, or asks `are_merged` once.
"""

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.flat_colours import flat_colours
from stm_jax.data.image_files import LOSSY, Encoded, open_image
from stm_jax.data.mask_values import (
    COLOUR_NOISE,
    HALF,
    MAX_OBJECTS,
    SAVE_AS,
    VOID,
    as_grey,
    check_flat,
    davis_ids,
    flattened,
    is_soft,
    packed,
    samples_of,
    without_noise,
)
from stm_jax.data.sbd import segmentation
from stm_jax.errors import InputError

LOOKED_AT = 20  # masks, to find what a data set's are

_logger = logging.getLogger("stm_jax.data")


def read_truth(path: Encoded, merged: bool = False) -> UInt8[np.ndarray, "height width"]:
    """Returns the object id of every pixel, 0 for background and 255 for void.

    The index of a palette picture is the id, whatever its colours, and so is the value of a grey
    one. A picture in colours gives the ids of the DAVIS palette. A .mat file of SBD gives its
    instances.

    Args:
        path: The mask.
        merged: All objects count as one, with id 1: DAVIS 2016, saliency masks, black and white.
            There 255 alone is the object, not void, and grey is cut at half.

    Raises:
        InputError: The file cannot be read, or is no mask of ids.
    """
    if path.name.endswith(".mat"):
        ids = _read_mat(path)
        return _one(ids) if merged else ids
    image = open_image(path)
    if merged:
        return _one_object(image, path)
    if image.mode in ("1", "P"):
        return np.array(image, np.uint8)
    if image.mode == "F":
        raise InputError(f"{path} holds real numbers, not object ids: {SAVE_AS}")
    if image.mode.startswith("I") or (image.mode == "L" and LOSSY not in image.info):
        return _ids_of_grey(samples_of(image), path)
    ids = _ids_of_davis(image)  # before grey, for one of its colours is grey
    if ids is not None:
        return ids
    values = _grey_values(image, path)
    return _ids_of_colour(image, path) if values is None else _ids_of_grey(values, path)


def are_merged(masks: Sequence[Encoded], where: str) -> bool:
    """Returns whether the masks of a data set show one object each, in black and white.

    Some of them are looked at, spread evenly. They are, if none shows an id (a palette index but
    0 and 255, or a grey value from 1 to 64) and some show 255 or in-between values, as the soft
    edges of saliency masks do. That those are cut at half is told in a line.

    Args:
        masks: Of a data set, all of one kind.
        where: What they are of, for the line.
    """
    white, soft = False, False
    lone: set[int] = set()  # colours that stand alone on black
    step = max(1, -(-len(masks) // LOOKED_AT))
    for path in masks[::step]:
        if path.name.endswith(".mat"):
            return False
        try:
            image = open_image(path)
            values = _grey_values(image, path)
        except InputError:  # told by whoever needs it
            continue
        if image.mode == "P" and not is_grey_ramp(image):
            used = _used(image)
            if set(used) - {0, VOID}:
                return False
            white |= VOID in used
            continue
        if values is None:
            codes = set(np.unique(packed(flattened(image))).tolist()) - {0}
            if len(codes) != 1:
                return False
            lone |= codes
            continue
        counts = np.bincount(values.ravel(), minlength=VOID + 1)[1:]
        high = np.flatnonzero(counts[MAX_OBJECTS : VOID - 1])
        if len(high) > 1 and not is_soft(values):  # no mask: its reader says so
            continue
        if counts[:MAX_OBJECTS].any() and not len(high):
            return False
        soft |= len(high) > 1
        white |= bool(counts.any())
    if soft:
        _logger.warning("%s: grey masks with soft edges, which are cut at half", where)
    return len(lone) == 1 if lone else white


def is_grey_ramp(image: Image.Image) -> bool:
    """Whether a palette picture is a grey one that says it has a palette."""
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return len(colours) == 256 and bool((colours == np.arange(256)[:, None]).all())


def _one_object(image: Image.Image, path: Encoded) -> UInt8[np.ndarray, "height width"]:
    if image.mode == "P" and not is_grey_ramp(image):
        return _one(np.array(image))
    values = _grey_values(image, path)
    if values is None:
        return (_ids_of_colour(image, path, merged=True) > 0).astype(np.uint8)
    highest = values.max(initial=0)
    if highest <= MAX_OBJECTS:
        return (values > 0).astype(np.uint8)
    ids = values >= (HALF if highest >= HALF else 1)
    if np.count_nonzero(values) > np.count_nonzero(ids) and not is_soft(values):
        raise InputError(
            f"{path} has {len(np.unique(values))} different values, too many of them between black"
            " and white for the edges of a mask: save it as a palette PNG, or in black and white"
        )
    return ids.astype(np.uint8)


def _one(ids: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Returns all objects as one; void stays, unless it stands alone."""
    objects = (ids > 0) & (ids != VOID)
    if objects.any():
        return np.where(objects, 1, ids).astype(np.uint8)
    return (ids > 0).astype(np.uint8)


def _ids_of_grey(values: np.ndarray, path: Encoded) -> UInt8[np.ndarray, "height width"]:
    highest = values.max(initial=0)
    if highest > MAX_OBJECTS or values.min(initial=0) < 0:
        strange = values[(values < 0) | (values > MAX_OBJECTS) & (values != VOID)]
        if len(strange):
            raise InputError(
                f"{path} has grey values such as {strange[0]}, which are no ids, perhaps smoothed"
                " edges: save it as a palette PNG, or with grey values 0, 1, 2, ..."
            )
    ids = values.astype(np.uint8)
    if highest > MAX_OBJECTS // 4:
        check_flat(ids, path)
    return ids


def _ids_of_colour(
    image: Image.Image, path: Encoded, merged: bool = False
) -> UInt8[np.ndarray, "height width"]:
    """Returns the ids of the DAVIS palette's colours; if merged, whatever is not black."""
    ids = _ids_of_davis(image)
    if ids is not None:
        return ids
    rgb = flattened(image)
    found = flat_colours(rgb) if merged else None
    shown = None if found is None else found[1].max(axis=1) > COLOUR_NOISE
    if found is not None and not np.all(shown):
        return np.asarray(shown, np.uint8)[found[0]]
    raise InputError(
        f"{path} has {len(np.unique(packed(rgb)))} colours that are not of the DAVIS palette, and"
        " which objects they are nobody can tell: save it as a palette PNG, or with grey values 0,"
        " 1, 2, ..."
    )


def _ids_of_davis(image: Image.Image) -> UInt8[np.ndarray, "height width"] | None:
    """Returns the ids of a picture in colours of the DAVIS palette, None of any other."""
    rgb = flattened(image)
    if rgb.ndim == 2:
        return None
    codes, where = np.unique(packed(rgb), return_inverse=True)
    ids = davis_ids(np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1))
    return None if ids is None else ids[where.reshape(rgb.shape[:2])]


def _grey_values(image: Image.Image, path: Encoded) -> UInt8[np.ndarray, "height width"] | None:
    """Returns the values from 0 to 255, 0 where it is transparent; None of a picture in colours.

    Raises:
        InputError: As of `without_noise`, of a lossy picture.
    """
    if image.mode == "1":
        return np.array(image, np.uint8) * np.uint8(VOID)
    if image.mode == "P" or (image.mode == "L" and LOSSY not in image.info):
        return np.array(image)
    if image.mode.startswith("I"):
        values = np.array(image)
        values = values >> 8 if values.max(initial=0) > VOID else values
        return np.clip(values, 0, VOID).astype(np.uint8)
    values = flattened(image)
    grey = values if values.ndim == 2 else as_grey(values)
    return grey if grey is None or LOSSY not in image.info else without_noise(grey, path)


def _read_mat(path: Encoded) -> UInt8[np.ndarray, "height width"]:
    try:
        return segmentation(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} is no mask of SBD, with GTinst and its Segmentation ({reason}): get it again"
        ) from error


def _used(image: Image.Image) -> list[int]:
    """Returns the indices that a palette picture shows."""
    return np.flatnonzero(image.histogram()).tolist()
