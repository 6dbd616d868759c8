"""Whether a checkpoint is still what was written: a disk may change a bit and tell nobody.

TensorStore checks its index, not the arrays' own bytes; most flips there would be read as weights.
"""

import pathlib

from stm_jax.files import hash_of_file, write_json
from stm_jax.json_files import load_json

NAME = "digests.json"
"""Beside the arrays: the SHA-256 of every file there, by its path."""


def write_digests(folder: pathlib.Path) -> None:
    """Writes the digests of all files in a folder into it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    digests = {path.relative_to(folder).as_posix(): hash_of_file(path) for path in files}
    write_json(folder / NAME, digests)


def check_digests(folder: pathlib.Path) -> None:
    """Checks the files in a folder; one that was written without digests is believed.

    Raises:
        InputError: The digests themselves cannot be read.
        ValueError: A file is another than was written, or is gone.
    """
    if not (folder / NAME).exists():
        return
    for name, digest in load_json(folder / NAME).items():
        path = folder / name
        if not path.is_file() or hash_of_file(path) != digest:
            raise ValueError(f"{path} is not what was written")
