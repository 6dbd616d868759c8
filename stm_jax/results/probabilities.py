"""Soft masks on disk: one .npz a frame, at half precision, in steps of 1/2048.

Half precision is no finer from a half to 1; below, what it adds would make files 2.5 times larger.

probabilities  (1 + objects, height, width) float16, of the background and the objects
object_ids     (objects,) uint8, in that order
"""

import io
import pathlib

import numpy as np
from jaxtyping import Float, Float16, UInt8

from stm_jax.errors import InputError
from stm_jax.files import DAMAGED_ARCHIVE, write_whole

PROBABILITIES = "probabilities"  # the folder of these files
STEPS = 2048  # of a probability
Probabilities = Float16[np.ndarray, "1+objects height width"]


def write_probabilities(
    path: pathlib.Path,
    probabilities: Float[np.ndarray, "1+objects height width"],
    object_ids: UInt8[np.ndarray, " objects"],
    *,
    durable: bool = True,
) -> None:
    """Writes the soft masks of one frame, whole or not at all.

    Where rounding to half precision would make another object the first of equals, the most
    probable one gets the next larger number, so that reading gives the same mask.
    """
    half = (np.rint(probabilities * STEPS) / STEPS).astype(np.float16)
    best = probabilities.argmax(axis=0)
    tied = np.nonzero(half.argmax(axis=0) != best)
    winner = (best[tied], *tied)
    half[winner] = np.nextafter(half[winner], np.float16(2))
    content = io.BytesIO()
    np.savez_compressed(content, probabilities=half, object_ids=np.asarray(object_ids, np.uint8))
    write_whole(path, content.getvalue(), durable=durable)


def read_probabilities(path: pathlib.Path) -> tuple[Probabilities, UInt8[np.ndarray, " objects"]]:
    """Returns the soft masks of one frame, and the objects' ids.

    Raises:
        InputError: The file cannot be read, or is not of that kind.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probabilities, object_ids = arrays["probabilities"], arrays["object_ids"]
    except DAMAGED_ARCHIVE as error:
        raise InputError(f"{path} holds no soft masks ({error}): make it again") from error
    if probabilities.ndim != 3 or object_ids.shape != (len(probabilities) - 1,):
        raise InputError(
            f"{path} holds arrays of {probabilities.shape} and {object_ids.shape}: make it again"
        )
    return probabilities, object_ids


def ids_of(
    probabilities: Float[np.ndarray, "1+objects height width"],
    object_ids: UInt8[np.ndarray, " objects"],
) -> UInt8[np.ndarray, "height width"]:
    """Returns the most probable object of every pixel, 0 for the background."""
    return np.append(np.uint8(0), object_ids)[probabilities.argmax(axis=0)]
