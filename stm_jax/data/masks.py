"""Reads a mask that somebody has made by hand, and writes masks.

The kind of a mask by hand is found by one table, and said:

| the picture | what it is |
| --- | --- |
| palette, any colours | its indices are the objects; black and white only: white is the object |
| palette whose further colours are but soft edges | as flat colours |
| black and white, also with soft edges or saved as JPEG | white is the object, cut at half |
| grey, small values, in a format without losses | they are the objects, up to 64 |
| colours of the DAVIS palette | their ids |
| flat colours on black, or one on white, also with soft edges | one object each, in a fixed order |
| transparent around an object | what is opaque is the object |

255 beside other ids is void: background here. What is transparent is background.
"""

import dataclasses
import pathlib

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.flat_colours import edge_colours, flat_colours
from stm_jax.data.image_files import LOSSY, Encoded, encoded_png, open_image
from stm_jax.data.mask_values import (
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
    used,
    without_noise,
)
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError
from stm_jax.files import write_whole

Ids = UInt8[np.ndarray, "height width"]


@dataclasses.dataclass(frozen=True)
class HandMask:
    """A mask and what it was taken for.

    Attributes:
      ids: (height, width) uint8, 0 is background.
      kind: of the picture, such as "palette PNG".
    """

    ids: Ids
    kind: str

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(i for i in used(self.ids).tolist() if i)

    @property
    def looks_inverted(self) -> bool:
        """Whether what is shown touches all four borders, and covers more than half."""
        shown = self.ids > 0
        borders = shown[0], shown[-1], shown[:, 0], shown[:, -1]
        return all(border.any() for border in borders) and bool(shown.mean() > 0.5)

    def described(self) -> str:
        """Returns one line, such as "palette picture, objects 1, 2, 3"."""
        ids = ", ".join(map(str, self.object_ids)) or "no object"
        line = f"{self.kind}, object{'s' * (len(self.object_ids) > 1)} {ids}"
        if self.looks_inverted:
            line += "; WARNING: the object covers most of the frame: is the mask inverted?"
        return line


def read_hand_mask(path: Encoded) -> HandMask:
    """Returns the mask, and what it was taken for.

    Raises:
      InputError: the file cannot be read, or is no mask by the table above, as a photograph.
    """
    image = open_image(path)
    if image.mode == "P" and "transparency" not in image.info:
        return _of_palette(image, path)
    if image.mode == "F":
        raise InputError(f"{path} holds real numbers, not object ids: {SAVE_AS}")
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa"):
        return _of_transparent(image, path)
    if image.mode == "L" and "transparency" not in image.info:
        return _of_grey(samples_of(image), path, _is_lossy(image))
    if image.mode in ("1", "L") or image.mode.startswith("I"):
        return _of_grey(flattened(image), path)
    return _of_colour(flattened(image), path, _is_lossy(image))


def read_mask(path: pathlib.Path) -> Ids:
    """Returns the object ids of a mask made by hand; see `read_hand_mask`, which says its kind."""
    return read_hand_mask(pathlib.Path(path)).ids


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


def _is_lossy(image: Image.Image) -> bool:
    return LOSSY in image.info


def _of_palette(image: Image.Image, path: Encoded) -> HandMask:
    indices = np.array(image)
    shown = used(indices)
    colours = np.zeros((256, 3), np.uint8)
    given = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(given)] = given
    if {tuple(colour) for colour in colours[shown].tolist()} == {(0, 0, 0), (255, 255, 255)}:
        white = (colours[indices] == 255).all(axis=-1)
        return HandMask(white.astype(np.uint8), "palette picture in black and white")
    if not np.array_equal(colours, davis_palette()) and edge_colours(indices, colours):
        return _of_colour(colours[indices], path)  # saved so by an editor that smooths
    if (colours[shown] == shown[:, None]).all() and shown.max() > MAX_OBJECTS:
        return _of_grey(indices, path)  # a grey picture that says it has a palette
    return HandMask(_ids(indices, path), "palette picture")


def _of_grey(grey: np.ndarray, path: Encoded, lossy: bool = False) -> HandMask:
    grey = without_noise(grey, path) if lossy else grey
    highest = int(grey.max(initial=0))
    if grey.dtype != np.uint8:
        if not 0 <= grey.min(initial=0) <= highest < 2**16:
            raise InputError(f"{path} has values from {grey.min()} to {highest}: {SAVE_AS}")
        grey = (grey >> 8 if highest > VOID else grey).astype(np.uint8)
    values = used(grey)
    values = values[values > 0]
    if len(values) == 1 and values[0] > MAX_OBJECTS:
        return HandMask((grey > 0).astype(np.uint8), "black and white")
    strange = values[(values > MAX_OBJECTS) & (values != VOID)]
    # The in-between values of an edge fill no place; void, which is an outline, has objects in it.
    only_edges = VOID in values and len(values) > 1 and _only_edges(grey)
    if len(strange) or only_edges:
        if values[-1] >= HALF and is_soft(grey):
            return HandMask((grey >= HALF).astype(np.uint8), "black and white, cut at half")
        if len(values) <= MAX_OBJECTS // 4:
            raise InputError(
                f"{path} has grey values such as {strange[0] if len(strange) else values[0]}, which"
                f" are neither ids nor the edges of one object: {SAVE_AS}"
            )
        check_flat(grey, path)
        raise InputError(f"{path} is a photograph, or has too many grey values: {SAVE_AS}")
    if highest > VOID:
        raise InputError(f"{path} has values up to {highest}, more than ids can be: {SAVE_AS}")
    return HandMask(_ids(grey, path), "grey picture of ids")


def _only_edges(grey: Ids) -> bool:
    """Whether 255 fills a square of 3x3 pixels, and no other value but 0 does."""
    square = np.ones((3, 3), np.uint8)
    filled = used(grey[cv2.erode(grey, square) == cv2.dilate(grey, square)])
    return VOID in filled and set(filled.tolist()) <= {0, VOID}


def _of_transparent(image: Image.Image, path: Encoded) -> HandMask:
    rgba = np.array(image.convert("RGBA"))
    opaque = rgba[..., 3] >= HALF
    if opaque.all():
        if image.mode == "P":
            return _of_palette(image, path)
        colour = rgba[..., :3]
        if image.mode in ("LA", "La"):
            return _of_grey(colour[..., 0], path)
        return _of_colour(colour, path, _is_lossy(image))
    if not opaque.any():
        return HandMask(np.zeros(opaque.shape, np.uint8), "transparent picture")
    if image.mode == "P":
        ids = _of_palette(image, path).ids
        if ids[opaque].any():
            return HandMask(ids * opaque, "palette picture with transparency")
    inside = flat_colours(rgba[opaque][None, :, :3]) if opaque.any() else None
    if inside is None or len(inside[1]) == 1:  # a cut-out photograph, or one brush
        return HandMask(opaque.astype(np.uint8), "cut-out, what is opaque")
    colour = rgba[..., :3] * opaque[..., None]
    if image.mode in ("LA", "La"):
        return _of_grey(colour[..., 0], path)
    return _of_colour(colour, path, _is_lossy(image))


def _of_colour(
    rgb: UInt8[np.ndarray, "height width 3"], path: Encoded, lossy: bool = False
) -> HandMask:
    codes, where = np.unique(packed(rgb), return_inverse=True)
    where = where.reshape(rgb.shape[:2])
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    ids = davis_ids(colours)
    if ids is not None:
        return HandMask(_ids(ids[where], path), "colours of DAVIS")
    grey = as_grey(rgb)
    if grey is not None:
        return _of_grey(grey, path, lossy)
    found = flat_colours(rgb)
    if found is None:
        raise InputError(
            f"{path} has {len(codes)} different values, as a photograph has, so it is no mask of"
            f" objects: {SAVE_AS}"
        )
    labels, flat = found
    exact = _nearest_davis(flat)
    if exact is not None:
        return HandMask(_ids(exact[labels], path), "colours of DAVIS, soft edges to the nearest")
    ground = _background(flat)
    if ground is None:
        raise InputError(
            f"{path} has {len(flat)} colours, none of them a black background: {SAVE_AS}"
        )
    others = [i for i in np.argsort(packed(flat), kind="stable").tolist() if i != ground]
    number = np.zeros(len(flat), np.uint8)
    number[others] = np.arange(1, len(others) + 1)
    on = "black" if flat[ground].max() < HALF else "white"
    names = ", ".join("#" + bytes(flat[i].tolist()).hex() for i in others)
    return HandMask(number[labels], f"flat colours on {on} ({names}; soft edges to the nearest)")


def _background(flat: UInt8[np.ndarray, "colours 3"]) -> int | None:
    """Returns which colour is black; or white, where none is and it is the most frequent."""
    for ground in (0, 255):
        off = np.abs(flat.astype(int) - ground).max(axis=1)
        if off.min() <= 16 and len(flat) > 1:
            return int(off.argmin())
    return None


def _nearest_davis(flat: UInt8[np.ndarray, "colours 3"]) -> Ids | None:
    """Returns the ids of colours that are those of DAVIS but for the noise of JPEG, or None."""
    davis = davis_palette()[: MAX_OBJECTS + 1].astype(int)
    off = np.abs(flat[:, None].astype(int) - davis).max(axis=-1)
    ids = off.argmin(axis=1).astype(np.uint8)
    good = off.min(axis=1).max() <= 6 and len(np.unique(ids)) == len(ids) and 0 in ids
    return ids if good else None


def _ids(ids: np.ndarray, path: Encoded) -> Ids:
    """Returns the ids with void as background, or raises InputError if they show no mask."""
    check_flat(ids, path)
    objects = (ids > 0) & (ids != VOID)
    if objects.any():
        return np.where(objects, ids, 0).astype(np.uint8)
    return (ids > 0).astype(np.uint8)
