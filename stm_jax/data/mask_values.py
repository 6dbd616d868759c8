"""What the values of masks are, for all that read them."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.image_files import SPREAD, Encoded
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError

MAX_OBJECTS = 64  # more than any data set has, fewer than the values of a photograph
VOID = 255
NOISE = 48  # grey levels by which JPEG may change black and white
BLACK_NOISE = 3  # grey levels that JPEG and WebP make of black alone
COLOUR_NOISE = 12  # levels by which JPEG and WebP may colour what is grey
HALF = 128  # from here on, a soft edge is the object
SAVE_AS = "save it as a palette PNG, or with grey values 0 and 255 (one object) or 0, 1, 2, ..."


def used(values: np.ndarray) -> np.ndarray:
    """Returns the different values of uint8, ascending: far faster than by sorting them."""
    return np.flatnonzero(np.bincount(values.ravel(), minlength=256))


def check_flat(values: np.ndarray, path: Encoded) -> None:
    """Raises InputError if the values are too many, or change too often, for a mask."""
    distinct = len(used(values))
    flat = (values[:, 1:] == values[:, :-1]).mean() if values.shape[1] > 1 else 1.0
    # 0 and void are no objects. The second rule finds dark or quantised photographs.
    if distinct > MAX_OBJECTS + 2 or (distinct > MAX_OBJECTS // 4 and flat < 0.5):
        raise InputError(
            f"{path} has {distinct} different values, as a photograph or a mask with smoothed"
            f" edges or JPEG noise has, so it is no mask of objects: {SAVE_AS}"
        )


def is_soft(grey: UInt8[np.ndarray, "height width"]) -> bool:
    """Whether it is black and white but for edges: smoothed, as by JPEG, or as saliency masks."""
    between = np.count_nonzero((grey > NOISE) & (grey < VOID - NOISE))
    white = np.count_nonzero(grey >= VOID - NOISE)
    return bool(between <= 4 * white and 3 * between <= grey.size)


def davis_ids(colours: np.ndarray) -> UInt8[np.ndarray, " colours"] | None:
    """Returns the ids of the colours (n, 3), or None if one is not of the DAVIS palette."""
    ids = {int(code): i for i, code in enumerate(packed(davis_palette()))}
    found = [ids.get(int(code)) for code in packed(colours)]
    return None if None in found else np.array(found, np.uint8)


def as_grey(rgb: np.ndarray) -> UInt8[np.ndarray, "height width"] | None:
    """Returns the values of a picture that is grey, but for lossy noise; None of one in colours."""
    spread = np.ptp(rgb.astype(np.int16), axis=-1).max(initial=0)
    if spread > COLOUR_NOISE:
        return None
    return rgb[..., 0] if spread == 0 else np.array(Image.fromarray(rgb).convert("L"))


def packed(colours: np.ndarray) -> np.ndarray:
    """Returns colours (..., 3) as one uint32 each, 0xRRGGBB."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def flattened(image: Image.Image) -> np.ndarray:
    """Returns grey (height, width) or colour (height, width, 3), 0 where it is transparent."""
    if image.mode.startswith("I"):
        return np.array(image)
    grey = image.mode in ("1", "L", "LA", "La")
    channels = np.array(image.convert("LA" if grey else "RGBA"))
    colour = channels[..., :-1] * (channels[..., -1:] >= 128)
    return colour[..., 0] if grey else colour


def without_noise(values: np.ndarray, path: Encoded) -> np.ndarray:
    """Returns the grey values (height, width) of a lossy picture, with what is nearly black as 0.

    Raises:
      InputError: None is near to white, so they were ids, of which losses make others.
    """
    highest = values.max(initial=0)
    if BLACK_NOISE < highest <= MAX_OBJECTS:
        raise InputError(
            f"{path} has small grey values, and was compressed with losses, which make other ids"
            f" of ids: {SAVE_AS}"
        )
    black = values <= (NOISE if highest > MAX_OBJECTS else BLACK_NOISE)
    return np.where(black, values.dtype.type(0), values)


def samples_of(image: Image.Image) -> np.ndarray:
    """Returns the values of a grey picture as its file has them (height, width).

    Pillow spreads those of 2 and 4 bits a pixel over 0 to 255: an id of 1 would become 85 or 17.
    """
    values = np.array(image)
    return values // np.uint8(image.info.get(SPREAD, 1)) if image.mode == "L" else values
