"""What kind of file weights are in, by its content: its name says little (.ckpt, .pth.tar)."""

import os
import pathlib
import zipfile
from typing import Literal

from stm_jax.errors import InputError
from stm_jax.files import DAMAGED_ARCHIVE

Kind = Literal["pytorch", "npz", "safetensors"]
ZIP, PICKLE, NAME_AT = b"PK\x03\x04", b"\x80", 30
NAMED = {".pth": "pytorch", ".pt": "pytorch", ".npz": "npz"}


def kind_of(path: pathlib.Path) -> Kind:
    """Returns the kind of a file of weights; of one that is none, what its name says it is.

    safetensors begins with the length of a JSON header; PyTorch's files are pickles, since
    PyTorch 1.6 inside a zip; NumPy's are zips of .npy files.

    Raises:
        InputError: It is there and cannot be read.
    """
    named: Kind = NAMED.get(path.suffix.lower(), "safetensors")  # pyright: ignore
    if not os.path.isfile(path):  # which says so of a name that is too long, too
        return named
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(ZIP):
        length = int.from_bytes(head[26:28], "little")
        names = _members(path) or [head[NAME_AT : NAME_AT + length].decode("latin-1")]
        return "npz" if all(name.endswith(".npy") for name in names) else "pytorch"
    # A protocol of pickle; the lengths that safetensors begins with have zeros there.
    if head[:1] == PICKLE and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "pytorch" if path.suffix != ".safetensors" else named
    return named


def _members(path: pathlib.Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED_ARCHIVE:
        return []  # cut off: the first member's name is told by the head
