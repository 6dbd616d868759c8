"""Whether the pixels of a PNG are all there and unchanged, which Pillow does not look at."""

import math
import struct
import zlib
from typing import IO

import numpy as np
from PIL import Image, PngImagePlugin

INK = 173  # that the last row is filled with, to see whether it is decoded
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
"""Of an interlaced PNG: first row and column, and how far rows and columns are apart."""


def load_whole(image: Image.Image) -> None:
    """Decodes an open picture.

    Raises:
        ValueError: It is a PNG whose data was changed, or ends before its last row; also what
            Pillow raises.
    """
    if not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile or image.fp is None:
        image.load()
        return
    content = _content_of(image.fp)
    data = _checked_data(content)
    last = (0, image.height - 1, image.width, image.height)
    if not image.info.get("interlace"):
        image.load_prepare()
        image.im.paste(INK if len(image.getbands()) == 1 else (INK,) * len(image.getbands()), last)
    image.load()
    # Data that ends too soon is taken for whole, and the rows that lack are zeros: background.
    if image.info.get("interlace") or (np.asarray(image.crop(last)) == INK).all():
        bits, colours = content[24], content[25]
        if len(zlib.decompress(b"".join(data))) < _bytes_of(image.size, bits, colours, image.info):
            raise ValueError("rows are missing")


def check_unchanged(image: Image.Image) -> None:
    """Raises ValueError if an open picture is a PNG, animated or not, whose data was changed."""
    if isinstance(image, PngImagePlugin.PngImageFile) and image.fp is not None:
        _checked_data(_content_of(image.fp))


def _content_of(file: IO[bytes]) -> bytes:
    """Returns all of an open file, which stays at its place."""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    return content


def _checked_data(content: bytes) -> list[bytes]:
    """Returns the compressed data in the chunks of a PNG; raises ValueError if it was changed.

    The data of an animation's further pictures is looked at, too.
    """
    found, at = [], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 8 + length
        kind = content[at + 4 : at + 8]
        check_sum = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
        if kind in (b"IDAT", b"fdAT") and content[end : end + 4] != check_sum:
            raise ValueError("a check sum is wrong")
        if kind == b"IDAT":
            found.append(content[at + 8 : end])
        at = end + 4
    return found


def _bytes_of(size: tuple[int, int], bits: int, colours: int, info: dict) -> int:
    """Returns how long the data of a picture is, a byte of each row for its filter included."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    passes = (*PASSES, (1, 0, 2, 1)) if info.get("interlace") else ((0, 0, 1, 1),)
    total = 0
    for top, left, down, right in passes:
        columns, rows = math.ceil((size[0] - left) / right), math.ceil((size[1] - top) / down)
        if columns > 0 and rows > 0:
            total += rows * (1 + math.ceil(columns * bits * channels / 8))
    return total
