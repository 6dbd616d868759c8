"""The door for names that come from outside: in lists, in JSON, on the command line.

Every name that is joined to a path for reading or writing goes through here, so that none leads
out of its folder. A link inside a data set may lead elsewhere, for data sets are put together so;
what is written never follows one out of its folder.
"""

import os
import pathlib
import re

from stm_jax.errors import InputError

MOST_BYTES = 255  # of a file's name on every common file system
DRIVE = re.compile(r"[A-Za-z]:")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def checked_name(name: object, source: object) -> str:
    """Returns a name that is one component of a path, of a folder or of a file.

    Args:
        name: What was found.
        source: Where, for the message.

    Raises:
        InputError: It is no text, `.`, `..` or empty, or holds a separator of any system, a drive,
            a control character, or more than a file system takes.
    """
    wrong = _wrong_with(name)
    if wrong or not isinstance(name, str):
        raise InputError(
            f"{source}: the name {_shown(name)} {wrong}: give a name that is one folder or file"
        )
    return name


def folder_below(parent: pathlib.Path, name: str) -> pathlib.Path:
    """Returns parent/name, to read from; raises InputError as `checked_name` does."""
    return parent / checked_name(name, parent)


def written_below(parent: pathlib.Path, name: str) -> pathlib.Path:
    """Returns parent/name, to write to or to remove.

    Raises:
        InputError: As of `checked_name`; or a link there leads out of `parent`.
    """
    path = parent / checked_name(name, parent)
    if path.resolve().parent != parent.resolve():
        raise InputError(f"{path} is a link that leads out of {parent}: remove it")
    return path


def file_below(parent: pathlib.Path, name: object, source: object) -> pathlib.Path:
    """Returns parent/name, to read, where `name` may have folders in it, as COCO's file names do.

    Raises:
        InputError: A part of it is none that `checked_name` takes.
    """
    parts = name.split("/") if isinstance(name, str) else [name]
    return parent.joinpath(*(checked_name(part, source) for part in parts))


def _wrong_with(name: object) -> str:
    """Returns what is wrong with a name, "" if nothing is."""
    if not isinstance(name, str):
        return "is no text"
    if not name.strip():
        return "is empty"
    if name.strip() in (".", ".."):
        return "leads to another folder"
    if "/" in name or "\\" in name or DRIVE.match(name):
        return "is a path"
    if CONTROL.search(name):
        return "has control characters"
    return "is too long" if len(os.fsencode(name)) > MOST_BYTES else ""


def _shown(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:77]}..."
