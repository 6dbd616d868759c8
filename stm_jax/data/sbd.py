"""Reads the masks of SBD, which are MATLAB files: of one structure, the one array that is wanted.

SciPy's reader ends the whole process on some damaged files. The format is MathWorks' "MAT-File
Format", Level 5: elements, each a tag (its type and length) and its content.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

HEADER = 128  # bytes before the first element; the last two say the order of bytes
LITTLE = b"IM"
MATRIX, COMPRESSED = 14, 15
STRUCTURE = 2  # class of an array; from 6 on they are numbers
FIRST_NUMERIC, LAST_NUMERIC = 6, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MOST_BYTES = 2**28  # of an array that was compressed: no picture's mask has more


def segmentation(content: bytes) -> UInt8[np.ndarray, "height width"]:
    """Returns GTinst.Segmentation of a file's content: the instances of a picture.

    Raises:
        ValueError: There is none, or the file is damaged.
    """
    if len(content) < HEADER or content[HEADER - 2 : HEADER] != LITTLE:
        raise ValueError("it is no MATLAB file of level 5")
    try:
        for kind, element in _elements(content[HEADER:]):
            plain = element
            if kind == COMPRESSED:
                ((kind, plain),) = _elements(_unpacked(element))
            if kind == MATRIX and _named(plain) == b"GTinst":
                return _ids(_field(plain, b"Segmentation"))
    except (struct.error, zlib.error, StopIteration, IndexError) as error:
        raise ValueError("it is cut off or damaged") from error
    raise ValueError("it has no GTinst")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields type and content of each element."""
    at = 0
    while at < len(content):
        kind, length = struct.unpack_from("<II", content, at)
        begin, after = at + 8, 8
        if kind >> 16:  # a short one: type, length and content in eight bytes
            kind, length, begin, after = kind & 0xFFFF, kind >> 16, at + 4, 4
        if length > len(content) - begin or (after == 4 and length > 4):
            raise ValueError("it is cut off or damaged")
        yield kind, content[begin : begin + length]
        padded = length if kind == COMPRESSED else -(-length // after) * after
        at = begin + max(padded, 4 if after == 4 else 0)


def _unpacked(content: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(content, MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("it is cut off, or has more than 256 MiB")
    return plain


def _parts(matrix: bytes) -> tuple[int, tuple[int, ...], bytes, Iterator]:
    """Returns class, size and name of an array, and its other elements."""
    parts = _elements(matrix)
    _, flags = next(parts)
    _, sides = next(parts)
    _, name = next(parts)
    return (
        struct.unpack("<I", flags[:4])[0] & 0xFF,
        struct.unpack(f"<{len(sides) // 4}i", sides),
        name,
        parts,
    )


def _named(matrix: bytes) -> bytes:
    return _parts(matrix)[2]


def _field(matrix: bytes, wanted: bytes) -> bytes:
    kind, size, _, parts = _parts(matrix)
    if kind != STRUCTURE or size != (1, 1):
        raise ValueError("its GTinst is no structure")
    (length,) = struct.unpack("<i", next(parts)[1])
    names = next(parts)[1]
    if length < 1:
        raise ValueError("it is cut off or damaged")
    for at, (_, element) in zip(range(0, len(names), length), parts, strict=False):
        if names[at : at + length].rstrip(b"\0") == wanted:
            return element
    raise ValueError(f"its GTinst has no {wanted.decode()}")


def _ids(matrix: bytes) -> UInt8[np.ndarray, "height width"]:
    kind, size, _, parts = _parts(matrix)
    stored, content = next(parts)
    if not FIRST_NUMERIC <= kind <= LAST_NUMERIC or stored not in TYPES or len(size) != 2:
        raise ValueError("its Segmentation is no array of ids")
    values = np.frombuffer(content, f"<{TYPES[stored]}")
    if min(size) < 1 or values.size != size[0] * size[1]:
        raise ValueError("its Segmentation is cut off or damaged")
    ids = values.reshape(size, order="F")
    if not ((ids >= 0) & (ids <= 255) & (ids == np.floor(ids))).all():
        raise ValueError("its Segmentation has values that are no ids")
    return np.ascontiguousarray(ids, np.uint8)
