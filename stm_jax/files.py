"""The door for files that are written: each is either whole or not there, and so after a power cut.

Nothing but a regular file is ever replaced.
"""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import pathlib
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stm_jax.errors import InputError
from stm_jax.text import spreadsheet_cell, utf_8

UNFINISHED = ".stm-jax-????????.tmp"
"""The pattern of temporary names, of random numbers: no file of anyone else is called so."""

DAMAGED_ARCHIVE = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    RuntimeError,  # it says that it is encrypted, or of a later version of the format
)
"""What reading a damaged zip archive raises, an .npz file's as well."""

KINDS = {
    stat.S_ISDIR: "a folder: give the name of a file in it",
    stat.S_ISLNK: "a link, which would be replaced: give the name of the file itself",
    stat.S_ISFIFO: "a pipe, not a file: give another name",
    stat.S_ISSOCK: "a socket, not a file: give another name",
    stat.S_ISCHR: "a device, not a file: give another name",
    stat.S_ISBLK: "a device, not a file: give another name",
}


def check_replaceable(path: pathlib.Path) -> None:
    """Raises InputError if there is anything at `path` but a regular file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    for is_kind, kind in KINDS.items():
        if is_kind(mode):
            raise InputError(f"{path} is {kind}")


def check_is_file(path: pathlib.Path) -> None:
    """Raises InputError unless it is an ordinary file: opening a pipe would wait for ever."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        what = "is a link to nothing" if path.is_symlink() else "no such file"
        raise InputError(f"{path}: {what}: check the name") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}): check the name") from error
    if stat.S_ISDIR(kind):
        raise InputError(f"{path} is a folder, not a file: give a file")
    if not stat.S_ISREG(kind):
        raise InputError(f"{path} is a device or a pipe, not a file: give a file")


def unfinished(path: pathlib.Path) -> pathlib.Path:
    """Makes an empty file beside `path` to write to, which `finish` or `unlink` ends.

    Raises:
        InputError: What is at `path` cannot be replaced.
        OSError: No file can be made there.
    """
    check_replaceable(path)
    temporary = path.with_name(UNFINISHED.replace("????????", secrets.token_hex(4)))
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


def finish(temporary: pathlib.Path, path: pathlib.Path, *, durable: bool = True) -> None:
    """Puts a file in place that `unfinished` has made.

    Args:
        temporary: That file.
        path: Its name from now on.
        durable: Whether it outlasts a power cut from now on; else once `flush` is called.
    """
    if durable:
        _sync(temporary)
    check_replaceable(path)
    os.replace(temporary, path)
    if durable:
        _sync_folder(path.parent)


@contextlib.contextmanager
def writing_whole(path: pathlib.Path, *, durable: bool = True) -> Iterator[pathlib.Path]:
    """Yields a temporary name, and renames it in the end, so that nobody sees half a file.

    Raises:
        InputError: What is at `path` is no file.
        OSError: It cannot be written; what was at `path` before is untouched.
    """
    temporary = unfinished(path)
    try:
        yield temporary
        finish(temporary, path, durable=durable)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: pathlib.Path, content: bytes, *, durable: bool = True) -> None:
    """Writes a file, whole or not at all; see `writing_whole` and `finish`."""
    with writing_whole(path, durable=durable) as temporary:
        temporary.write_bytes(content)


def flush(files: Iterable[pathlib.Path]) -> None:
    """Has files outlast a power cut that were written without `durable`.

    Many at once cost less than each by itself: by now most are on the disk.
    """
    folders = set()
    for file in files:
        _sync(file)
        folders.add(file.parent)
    for folder in sorted(folders):
        _sync_folder(folder)


def flush_folder(folder: pathlib.Path) -> None:
    """Has a folder that others have written, its name and all that is in it outlast a power cut."""
    for path in (*folder.rglob("*"), folder, folder.parent):
        _sync_folder(path) if path.is_dir() else _sync(path)


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what a killed run of this program has left half written in its own folder."""
    for file in folder.glob(UNFINISHED):
        if not file.is_dir():
            file.unlink()


def is_whole_png(path: pathlib.Path) -> bool:
    """Says whether a PNG is there and has its end: a file that was cut, or never flushed, lacks it.

    Its pixels are not looked at, so this may be asked of all masks of a data set.
    """
    try:
        with open(path, "rb") as file:
            file.seek(-12, os.SEEK_END)
            return file.read()[4:8] == b"IEND"
    except OSError:
        return False


def hash_of_file(path: pathlib.Path) -> str:
    """Returns a hash of what is in a file, by which a change is noticed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: pathlib.Path, content: Mapping[str, Any], indent: int | None = 2) -> None:
    """Writes a JSON file, whole or not at all."""
    write_whole(path, (json.dumps(content, indent=indent) + "\n").encode())


def write_csv(path: pathlib.Path, rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [spreadsheet_cell(cell) for cell in row] for row in rows
    )
    write_whole(path, utf_8(text.getvalue()))


def _sync(path: pathlib.Path) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no flushing
            raise
    finally:
        os.close(file)


def _sync_folder(path: pathlib.Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(folder)
