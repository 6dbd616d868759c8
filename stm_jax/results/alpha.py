"""How opaque every pixel is: of all objects together, from soft masks; and pictures that say so.

alpha/NAME.png    grey, 8 bit
alpha16/NAME.png  grey, 16 bit
rgba/NAME.png     the frame with straight alpha; nothing of the background is in it
"""

import pathlib

import numpy as np
from jaxtyping import Float32, UInt8, UInt16
from PIL import Image

from stm_jax.data.image_files import encoded_png, open_image
from stm_jax.errors import InputError
from stm_jax.files import write_whole
from stm_jax.results.probabilities import Probabilities, ids_of

Matte = Float32[np.ndarray, "height width"]


def matte(
    ids: UInt8[np.ndarray, "height width"],
    soft: tuple[Probabilities, UInt8[np.ndarray, " objects"]] | None,
) -> Matte:
    """Returns the opacity, 0 to 1: the probability that a pixel is not of the background.

    Where the mask says something else than its probabilities, it was corrected since: it counts.

    Args:
        ids: The mask.
        soft: Its probabilities, and the objects' ids; None if there are none.
    """
    hard = (ids > 0).astype(np.float32)
    if soft is None:
        return hard
    probabilities, object_ids = soft
    alpha = 1 - probabilities[0].astype(np.float32)
    return np.where(ids_of(probabilities, object_ids) == ids, alpha, hard)


def quantised(alpha: Matte, bits: int) -> UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"]:
    """Returns the opacity as whole numbers of 8 or 16 bits."""
    return np.rint(alpha * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def write_matte(path: pathlib.Path, alpha: Matte, bits: int) -> None:
    """Writes the opacity as a grey PNG of 8 or 16 bits."""
    write_whole(path, encoded_png(Image.fromarray(quantised(alpha, bits))), durable=False)


def read_matte(path: pathlib.Path) -> Matte:
    """Returns the opacity in a grey PNG; raises InputError if it is none."""
    image = open_image(path)
    if image.mode not in ("L", "I;16", "I"):
        raise InputError(f"{path} is no grey PNG but of mode {image.mode}: give one of alpha/")
    return np.array(image, np.float32) / (255 if image.mode == "L" else 65535)


def write_cut_out(
    path: pathlib.Path, rgb: UInt8[np.ndarray, "height width 3"], alpha: Matte
) -> None:
    """Writes a frame as a PNG with straight alpha; what is fully transparent is black."""
    write_whole(path, encoded_png(Image.fromarray(cut_out(rgb, alpha))), durable=False)


def cut_out(
    rgb: UInt8[np.ndarray, "height width 3"], alpha: Matte
) -> UInt8[np.ndarray, "height width 4"]:
    """Returns the frame with its opacity, 0 in all channels where that is 0."""
    opacity = quantised(alpha, 8)[..., None]
    return np.concatenate([rgb * (opacity > 0), opacity], axis=-1)


def read_cut_out(path: pathlib.Path) -> UInt8[np.ndarray, "height width 4"]:
    """Returns colours and opacity of such a PNG; raises InputError if it is none."""
    image = open_image(path)
    if image.mode != "RGBA":
        raise InputError(f"{path} has no alpha channel but mode {image.mode}: give one of rgba/")
    return np.array(image)
