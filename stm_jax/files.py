"""Files that are either whole or not there."""

import contextlib
import csv
import io
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stm_jax.errors import InputError
from stm_jax.text import spreadsheet_cell, utf_8


@contextlib.contextmanager
def writing_whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary name, and renames it in the end, so that nobody sees half a file.

    Raises:
        OSError: It cannot be written; what was at `path` before is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes a file, whole or not at all; raises as `writing_whole` does."""
    with writing_whole(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: pathlib.Path, content: Mapping[str, Any], indent: int = 2) -> None:
    """Writes a JSON file, whole or not at all."""
    write_whole(path, (json.dumps(content, indent=indent) + "\n").encode())


def write_csv(path: pathlib.Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [spreadsheet_cell(cell) for cell in row] for row in rows
    )
    write_whole(path, utf_8(text.getvalue()))


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns the object in a JSON file; an empty one if there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def check_can_be_written(path: pathlib.Path | None) -> None:
    """Raises InputError if a result could not be written there, before work is done for it."""
    if path is not None and path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file in it")
    if path is not None and not path.parent.is_dir():
        raise InputError(
            f"there is no folder {path.parent} to write {path.name} to: make it, or give another"
        )
