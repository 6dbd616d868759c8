"""Masks, palettes, pictures and PNGs that the generators draw."""

import itertools
import pathlib
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from stm_jax.data.palette import davis_palette
from tests.hostile.attempt import pick


def size(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(24, 72)), int(rng.integers(24, 72))


def shapes(rng: np.random.Generator, ids: tuple[int, ...], large: int = 1) -> np.ndarray:
    """Returns a mask with an ellipse or a box of each id, none hidden, none at the border."""
    columns = len(ids) if len(ids) <= 4 else -(-len(ids) // 2)
    rows = -(-len(ids) // columns)
    height, width = size(rng)
    height, width = large * max(height, 9 * rows + 6), large * max(width, 9 * columns + 6)
    gap = 3 * large
    mask = np.zeros((height, width), np.uint8)
    for place, object_id in enumerate(ids):
        row, column = divmod(place, columns)
        top, left = row * (height - gap) // rows + gap, column * (width - gap) // columns + gap
        down = (row + 1) * (height - gap) // rows - top
        across = (column + 1) * (width - gap) // columns - left
        box = np.zeros((down, across), np.uint8)
        if rng.random() < 0.5:
            box[:] = object_id
        else:
            middle, radii = (across // 2, down // 2), (across // 2 - 1, down // 2 - 1)
            box = cv2.ellipse(box, middle, radii, 0, 0, 360, int(object_id), -1)
        mask[top : top + down, left : left + across] = box
    return mask


def some_ids(rng: np.random.Generator, most: int, count: int = 6) -> tuple[int, ...]:
    """Returns a few different ids from 1 to `most`, ascending."""
    wanted = int(rng.integers(1, min(count, most) + 1))
    return tuple(sorted(int(i) + 1 for i in rng.choice(most, wanted, replace=False)))


def palette(rng: np.random.Generator) -> np.ndarray:
    """Returns 256 colours in one of many orders; black and white alone are not among its first."""
    kind = rng.integers(6)
    if kind == 0:
        return davis_palette()
    if kind == 1:  # the background is bright
        return davis_palette()[::-1].copy()
    if kind == 2:
        return rng.permutation(davis_palette())
    if kind == 3:
        return np.full((256, 3), rng.integers(0, 256, 3), np.uint8)
    if kind == 4:
        return np.repeat(np.arange(255, -1, -1, np.uint8)[:, None], 3, axis=1)
    return rng.integers(0, 256, (256, 3), np.uint8)


def photograph(rng: np.random.Generator, height: int = 48, width: int = 64) -> np.ndarray:
    """Returns a picture of many colours, noisy or smooth."""
    if rng.random() < 0.5:
        coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(-6, 7, smooth.shape)
        return np.clip(smooth.astype(int) + noise, 0, 255).astype(np.uint8)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png(
    width: int,
    height: int,
    data: bytes,
    *,
    bits: int = 8,
    colours: int = 0,
    before: bytes = b"",
    interlaced: bool = False,
    cuts: tuple[int, ...] = (),
) -> bytes:
    """Returns a PNG of whatever compressed data, in one or several chunks."""
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced)
    edges = [0, *cuts, len(data)]
    parts = [data[a:b] for a, b in itertools.pairwise(edges)]
    body = b"".join(chunk(b"IDAT", part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + body + chunk(b"IEND", b"")


def rows(pixels: np.ndarray) -> bytes:
    """Returns the rows of (height, ...) bytes as PNG has them, each with filter 0."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def save_palette(path: pathlib.Path, ids: np.ndarray, colours: np.ndarray, **more: object) -> None:
    image = Image.fromarray(ids)
    image.putpalette(colours.astype(np.uint8).tobytes())
    image.save(path, format=more.pop("format", "PNG"), **more)


def inside(mask: np.ndarray, margin: int = 1) -> np.ndarray:
    """Returns which pixels have no other value within `margin` pixels."""
    square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return cv2.erode(mask, square) == cv2.dilate(mask, square)


def smaller(picture: np.ndarray, by: int) -> np.ndarray:
    """Returns a picture so many times smaller, with soft edges."""
    height, width = (side // by for side in picture.shape[:2])
    cut = picture[: height * by, : width * by]
    return cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)


def in_blocks(mask: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the value of each block of pixels that `smaller` makes one, and where it has one."""
    height, width = (side // by for side in mask.shape)
    blocks = mask[: height * by, : width * by].reshape(height, by, width, by)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    return low, low == high


def far_colours(rng: np.random.Generator, count: int, ground: int) -> np.ndarray:
    """Returns colours far from each other, from black, white, grey and those of DAVIS."""
    found: list[np.ndarray] = []
    while len(found) < count:
        colour = rng.integers(0, 256, 3)
        if (np.abs(davis_palette()[:65] - colour).max(axis=1) <= 8).any():
            continue
        others = [*found, np.full(3, ground), np.full(3, 255 - ground)]
        if all(np.abs(colour - other).max() > 90 for other in others) and np.ptp(colour) > 60:
            found.append(colour)
    return np.array(found, np.uint8)


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Returns bytes with a part cut off, changed, doubled or left out."""
    kind = pick(rng, ("cut", "flip", "zeros", "noise", "double", "left out"))
    at = int(rng.integers(len(content)))
    length = int(rng.integers(1, 64))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        changed = bytearray(content)
        for place in rng.integers(0, len(content), int(rng.integers(1, 6))):
            changed[place] ^= 1 << int(rng.integers(8))
        return bytes(changed)
    if kind == "zeros":
        return content[:at] + bytes(length) + content[at + length :]
    if kind == "noise":
        return content[:at] + rng.bytes(length) + content[at + length :]
    if kind == "double":
        return content[:at] + content[at : at + length] * 2 + content[at + length :]
    return content[:at] + content[at + length :]
