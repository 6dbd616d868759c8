"""Files that are either whole or not there."""

import os
import pathlib


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it, so that a reader never sees half of it.

    Raises:
        OSError: It cannot be written; what was at `path` before is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
