"""Reads and writes masks: which object (1, 2, ...) or background (0) each pixel shows.

Masks come in several kinds, and one read as another silently gives an empty or a wrong mask, so
the kind is found from the file and what cannot be told for sure is refused.
"""

import pathlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.image_files import Encoded, encoded_png, open_image
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError
from stm_jax.files import write_whole

MAX_OBJECTS = 64  # more than any data set has, fewer than the values of a photograph
VOID = 255
SAVE_AS = "save it as a palette PNG, or with grey values 0 and 255 (one object) or 0, 1, 2, ..."


def read_mask(path: pathlib.Path) -> UInt8[np.ndarray, "height width"]:
    """Returns the object id of every pixel; the kind of the mask is found, not assumed.

    - A palette picture gives its indices. One whose colours are all colours of the DAVIS palette
      in another order (some editors sort them) gives the ids of those colours, and one in black
      and one other grey gives one object.
    - A picture in colour whose colours are all of the DAVIS palette gives their ids; black and
      one other colour give one object.
    - A grey picture (also with three equal channels, with alpha, or with 1 or 16 bits) with the
      values 0 and 255, or 0 and any other value above 64, gives one object; with small values
      it gives them as ids.
    - 255 beside other ids is "void" (an outline nobody labelled, as in PASCAL VOC): background.
    - A fully transparent pixel is background.

    Raises:
      InputError: the file cannot be read, or is no mask: a photograph, or a mask with smoothed
        edges or JPEG noise, whose in-between values would be taken for objects.
    """
    path = pathlib.Path(path)
    return mask_of(open_image(path), path)


def mask_of(image: Image.Image, path: Encoded) -> UInt8[np.ndarray, "height width"]:
    """Returns what `read_mask` does, of a picture that has been opened; `path` is for errors."""
    if image.mode == "P":
        return _ids_of_palette(image, path)
    if image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I"):
        return _ids_of_grey(_flattened(image), path)
    if image.mode == "F":
        raise InputError(f"{path} holds real numbers, not object ids: {SAVE_AS}")
    return _ids_of_colour(_flattened(image), path)


def check_first_mask(
    mask: UInt8[np.ndarray, "height width"], frame_size: tuple[int, int], path: pathlib.Path
) -> None:
    """Raises InputError unless the mask fits a frame of (height, width) and shows an object."""
    if mask.shape != frame_size:
        raise InputError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]} but the frames are"
            f" {frame_size[1]}x{frame_size[0]} (width x height):"
            " give a mask of the first frame at its own size"
        )
    if not mask.any():
        raise InputError(
            f"{path} is empty, it shows background only: mark at least one object in it"
        )


def write_mask(
    path: pathlib.Path, ids: UInt8[np.ndarray, "height width"], *, durable: bool = True
) -> None:
    """Writes a palette PNG in DAVIS colours, to a temporary name and then renamed.

    Args:
      path: its name.
      ids: the mask.
      durable: as of `stm_jax.files.finish`.

    Raises:
      OSError: the file cannot be written; what was at `path` before is untouched.
    """
    write_whole(path, encoded_mask(ids), durable=durable)


def encoded_mask(ids: UInt8[np.ndarray, "height width"]) -> bytes:
    """Returns a palette PNG in DAVIS colours."""
    image = Image.fromarray(ids)
    image.putpalette(davis_palette().tobytes())
    return encoded_png(image)


def _ids_of_palette(image: Image.Image, path: Encoded) -> UInt8[np.ndarray, "height width"]:
    indices = np.array(image)
    used = np.unique(indices)
    colours = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(given)] = given
    ids = _davis_ids(colours[used])
    if ids is not None and len(np.unique(ids)) == len(ids):
        return _checked_ids(ids[np.searchsorted(used, indices)], path)
    if (colours[used] == used[:, None]).all():  # a grey picture that says it has a palette
        return _ids_of_grey(indices, path)
    black = (colours[used] == 0).all(axis=1)
    if len(used) == 2 and black.any():
        return (indices == used[~black][0]).astype(np.uint8)
    return _checked_ids(indices, path)


def _ids_of_grey(grey: np.ndarray, path: Encoded) -> UInt8[np.ndarray, "height width"]:
    _check_flat(grey, path)
    values = np.unique(grey)
    values = values[values > 0]
    if len(values) == 1 and values[0] > MAX_OBJECTS:
        return (grey > 0).astype(np.uint8)
    strange = values[(values > MAX_OBJECTS) & (values != VOID)]
    if len(strange):
        raise InputError(
            f"{path} has grey values such as {strange[0]}, too high for ids, perhaps smoothed"
            f" edges: {SAVE_AS}"
        )
    return _checked_ids(grey.astype(np.uint8), path)


def _ids_of_colour(
    rgb: UInt8[np.ndarray, "height width 3"], path: Encoded
) -> UInt8[np.ndarray, "height width"]:
    packed = _pack(rgb)
    codes, where = np.unique(packed, return_inverse=True)
    where = where.reshape(packed.shape)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    ids = _davis_ids(colours)
    if ids is not None:
        return _checked_ids(ids[where], path)
    if (colours == colours[:, :1]).all():
        return _ids_of_grey(rgb[..., 0], path)
    if len(codes) == 2 and codes[0] == 0:
        return where.astype(np.uint8)
    _check_flat(packed, path)
    raise InputError(
        f"{path} has {len(codes)} colours and not all are of the DAVIS palette: {SAVE_AS}"
    )


def _checked_ids(
    ids: UInt8[np.ndarray, "height width"], path: Encoded
) -> UInt8[np.ndarray, "height width"]:
    """Returns the ids with void as background, or raises InputError if they show no mask."""
    _check_flat(ids, path)
    objects = (ids > 0) & (ids != VOID)
    if objects.any():
        return np.where(objects, ids, 0).astype(np.uint8)
    return (ids > 0).astype(np.uint8)


def _check_flat(values: np.ndarray, path: Encoded) -> None:
    """Raises InputError if the values are too many, or change too often, for a mask."""
    distinct = len(np.unique(values))
    flat = (values[:, 1:] == values[:, :-1]).mean() if values.shape[1] > 1 else 1.0
    # 0 and void are no objects. The second rule finds dark or quantised photographs.
    if distinct > MAX_OBJECTS + 2 or (distinct > MAX_OBJECTS // 4 and flat < 0.5):
        raise InputError(
            f"{path} has {distinct} different values, as a photograph or a mask with smoothed"
            f" edges or JPEG noise has, so it is no mask of objects: {SAVE_AS}"
        )


def _davis_ids(colours: np.ndarray) -> UInt8[np.ndarray, " colours"] | None:
    """Returns the ids of the colours (n, 3), or None if one is not of the DAVIS palette."""
    ids = {int(code): i for i, code in enumerate(_pack(davis_palette()))}
    found = [ids.get(int(code)) for code in _pack(colours)]
    return None if None in found else np.array(found, np.uint8)


def _pack(colours: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _flattened(image: Image.Image) -> np.ndarray:
    """Returns grey (height, width) or colour (height, width, 3), 0 where it is transparent."""
    if image.mode.startswith("I"):
        return np.array(image)
    grey = image.mode in ("1", "L", "LA", "La")
    channels = np.array(image.convert("LA" if grey else "RGBA"))
    colour = channels[..., :-1] * (channels[..., -1:] >= 128)
    return colour[..., 0] if grey else colour
