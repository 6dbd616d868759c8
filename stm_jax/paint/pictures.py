"""Frames, masks and heat maps as the page gets them."""

import io
import zlib

import cv2
import numpy as np
from jaxtyping import UInt8

from stm_jax.errors import InputError

QUALITY = 92  # of JPEG: the page's frames are looked at, not measured
THUMB_HEIGHT = 72


class Upload(io.BytesIO):
    """A picture that came with a request; see `stm_jax.data.image_files.Encoded`."""

    name, parent = "the picture", "the page"

    def read_bytes(self) -> bytes:
        """Returns all of it."""
        return self.getvalue()

    def __str__(self) -> str:
        return self.name


def jpeg(frame: UInt8[np.ndarray, "height width 3"], quality: int = QUALITY) -> bytes:
    """Returns a frame as JPEG."""
    # Colours of every pixel: with those of every other, edges would seem to be elsewhere.
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    is_whole, encoded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
    assert is_whole
    return encoded.tobytes()


def thumb(frame: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """Returns a small picture of a frame as JPEG."""
    height, width = frame.shape[:2]
    size = max(1, round(width * THUMB_HEIGHT / height)), THUMB_HEIGHT
    return jpeg(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), 80)


def packed(ids: UInt8[np.ndarray, "height width"]) -> bytes:
    """Returns a mask's ids, row by row, as gzip.

    No picture: a browser may change the colours of those, and scripts then read other ids.
    """
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(np.ascontiguousarray(ids).tobytes()) + packer.flush()


def unpacked(content: bytes, height: int, width: int) -> UInt8[np.ndarray, "height width"]:
    """Returns the ids in what `packed` gives; raises InputError if it is something else."""
    unpacker = zlib.decompressobj(31)
    try:
        ids = unpacker.decompress(content, height * width + 1)
    except zlib.error as error:
        raise InputError(f"the mask is not gzip ({error}): send it again") from error
    if len(ids) != height * width or not unpacker.eof:
        raise InputError(f"the mask has not {width}x{height} ids: send it again")
    return np.frombuffer(ids, np.uint8).reshape(height, width)
