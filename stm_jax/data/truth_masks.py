"""Reads the true masks of a benchmark, in which void (255: nobody knows) stays void."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.image_files import Encoded, open_image
from stm_jax.data.masks import VOID, mask_of
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError


def read_truth(path: Encoded) -> UInt8[np.ndarray, "height width"]:
    """Returns the object id of every pixel, 0 for background and 255 for void.

    Unlike `read_mask`, which guesses what a user may have drawn, a palette picture gives its
    indices even if it shows a single object in a colour of its own: in YouTube-VOS, whose palette
    is not that of DAVIS, a mask may show object 3 alone. Grey with 0 and 255 only is one object.

    A .mat file of SBD gives its instances.

    Raises:
        InputError: The file cannot be read, or is no mask (see `read_mask`).
    """
    if path.name.endswith(".mat"):
        return _read_mat(path)
    image = open_image(path)
    if image.mode == "1":
        return np.array(image, np.uint8)
    if image.mode == "P" and not _is_grey(image) and not _is_davis_in_another_order(image):
        return np.array(image)
    if image.mode in ("P", "L"):
        values = np.array(image)
        if _used(image) <= {0, VOID}:
            return (values > 0).astype(np.uint8)
        ids = mask_of(image, path)
        return np.where((values == VOID) & (ids == 0), VOID, ids).astype(np.uint8)
    return mask_of(image, path)


def _read_mat(path: Encoded) -> UInt8[np.ndarray, "height width"]:
    import scipy.io  # only SBD needs it

    try:
        content = scipy.io.loadmat(io.BytesIO(path.read_bytes()))
        return np.ascontiguousarray(content["GTinst"]["Segmentation"][0, 0], np.uint8)
    except Exception as error:  # SciPy raises whatever its reader stumbles over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{path} is no mask of SBD, with GTinst and its Segmentation ({reason}): get it again"
        ) from error


def _used(image: Image.Image) -> set[int]:
    """Returns the grey levels, or the indices, that a picture of one byte a pixel shows."""
    return set(np.flatnonzero(image.histogram()).tolist())


def _colours(image: Image.Image) -> np.ndarray:
    """Returns the colours of a palette picture, (entries, 3)."""
    return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _is_grey(image: Image.Image) -> bool:
    """Whether the picture is a grey one that says it has a palette."""
    colours = _colours(image)
    return bool((colours == np.arange(len(colours))[:, None]).all())


def _is_davis_in_another_order(image: Image.Image) -> bool:
    """Whether the colours are those of DAVIS, sorted by some editor."""
    colours, davis = _colours(image), davis_palette()
    used = [index for index in _used(image) if index < len(colours)]
    if (colours[used] == davis[used]).all():
        return False
    known = {tuple(colour) for colour in davis.tolist()}
    return {tuple(colour) for colour in colours[used].tolist()} <= known
