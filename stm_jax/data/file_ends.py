"""Where files of videos end, by their own account."""

import os
import pathlib


def matroska_end(path: pathlib.Path) -> int:
    """Returns where a Matroska or WebM file says it ends, or 0 if it does not say.

    It starts with an EBML header and goes on with one segment, each an identifier of 4 bytes, a
    size of 1 to 8 bytes (RFC 8794, section 4: the leading zeros of the first byte give the
    length, all ones mean unknown) and as many bytes.
    """
    end = 0
    with open(path, "rb") as file:
        for _ in range(2):
            file.seek(end + 4)
            first = file.read(1)
            length = 9 - first[0].bit_length() if first else 9
            unknown = (1 << 7 * length) - 1
            size = int.from_bytes(first + file.read(length - 1)) & unknown
            if length > 8 or size == unknown:
                return 0
            end = file.tell() + size
    return end


def animation_has_end(path: pathlib.Path, kind: str) -> bool:
    """Says whether an animation, of which FFmpeg shows what is there, goes on to its end."""
    with open(path, "rb") as file:
        file.seek(-min(1024, path.stat().st_size), os.SEEK_END)
        tail = file.read()
    return b"IEND" in tail if kind == "apng" else tail.rstrip(b"\0").endswith(b";")
