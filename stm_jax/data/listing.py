"""What a folder and a list of names hold: the only places where either is read.

Notebooks, network disks, archives and file managers leave things beside the data that are none of
it; editors and systems write lists in encodings of their own.
"""

import codecs
import pathlib

from stm_jax.errors import InputError
from stm_jax.files import check_is_file

LEFT_BEHIND = ("@eadir", "__macosx", "thumbs.db", "desktop.ini")
"""Besides all that begins with a dot, such as .ipynb_checkpoints, .DS_Store and ._NAME."""

MOST_BYTES = 2**26  # of a list: YouTube-VOS has 4000 names


def entries(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Returns what is in a folder, by name; what systems leave behind in it is passed over.

    Raises:
        InputError: The folder cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder} cannot be listed ({error.strerror}): give a folder that can be read"
        ) from error
    return tuple(path for path in found if not is_left_behind(path.name))


def files_with(folder: pathlib.Path, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    """Returns what is in a folder and ends so, in any case of letters; raises as `entries`."""
    return [path for path in entries(folder) if path.suffix.lower() in suffixes]


def is_left_behind(name: str) -> bool:
    """Says whether a file or folder of that name is no data, but something a system leaves."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def read_list(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the lines of a list, without blank ones, comments (#) and spaces at their ends.

    The list is UTF-8, with a byte order mark or without, or UTF-16 with one; lines end as any
    system ends them.

    Raises:
        InputError: It cannot be read, or is in another encoding.
    """
    check_is_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"the list {path} cannot be read ({error.strerror}): check its name and rights"
        ) from error
    if len(content) > MOST_BYTES:
        raise InputError(f"the list {path} has more than {MOST_BYTES} bytes: it is no list")
    is_utf_16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"the list {path} is not UTF-8 (byte {error.start} is none of it): save it as UTF-8"
        ) from error
    if "\0" in text:
        raise InputError(f"the list {path} holds a NUL, as no text does: save it as UTF-8")
    # Not splitlines(), which also ends a line at characters that a name may hold.
    lines = (line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))
