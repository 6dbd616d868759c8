"""Finds and reads predicted masks: PNGs whose values are ids, as the official servers take them."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.image_files import open_image
from stm_jax.data.listing import entries
from stm_jax.data.mask_values import samples_of
from stm_jax.data.names import folder_below
from stm_jax.errors import InputError

NAMED = 10  # files in a line
KINDS = {"RGB": "colours", "RGBA": "colours", "LA": "grey with transparency", "CMYK": "colours"}


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something wrong with a file or a folder."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def find_predictions(
    folder: pathlib.Path, sequence: str, names: Sequence[str]
) -> tuple[pathlib.Path | Problem, ...]:
    """Returns the file of each frame, folder/sequence/name.png, or what is wrong with it.

    Names are compared as they are written, on any file system: a result must not depend on the
    computer that it is scored on.
    """
    wrong = _why_not_there(folder, sequence)
    if wrong:
        return (Problem(str(folder / sequence), wrong),) * len(names)
    if not (folder / sequence).is_dir():
        return (Problem(str(folder / sequence), "no folder of masks"),) * len(names)
    files = _listing(folder_below(folder, sequence))
    found = []
    for name in names:
        file = f"{name}.png"
        wrong = None if file in files else _why_not_there(folder / sequence, file, files)
        path = folder / sequence / file
        found.append(Problem(str(path), wrong) if wrong else path)
    return tuple(found)


def strangers(folder: pathlib.Path, sequence: str, names: Sequence[str]) -> list[Problem]:
    """Returns what is wrong with masks in folder/sequence that are of no frame: one or none.

    Those that are between two of the frames' numbers are no strangers: data sets may have every
    fifth frame only.

    Args:
        folder: Of predictions.
        sequence: Its name.
        names: Of all frames of the sequence.

    Raises:
        InputError: They are numbered from another frame on than the data set is, so each would be
            compared with the truth of another frame.
    """
    path = folder / sequence
    if not path.is_dir():
        return []
    files = [file for file in _listing(path) if file.lower().endswith(".png") and file[0] != "."]
    known = {f"{name}.png".lower() for name in names}
    numbers = {number for name in known if (number := _number(name)) is not None}
    first, last = min(numbers, default=0), max(numbers, default=0)
    odd, before, after = [], False, False
    for file in sorted(files):
        number = _number(file)
        if file.lower() in known or (number is not None and first <= number <= last):
            continue
        odd.append(file)
        before |= number is not None and number < first
        after |= number is not None and number > last
    if not odd:
        return []
    some = ", ".join(odd[:NAMED]) + (f" and {len(odd) - NAMED} more" if len(odd) > NAMED else "")
    there = {_number(file) for file in files}
    of = f"the frames of {sequence} are {names[0]} to {names[-1]}"
    if numbers and ((after and first not in there) or (before and last not in there)):
        raise InputError(
            f"{path}: {some}: of no frame, and the {'first' if after else 'last'} one has no mask:"
            f" are they numbered from another frame on? {of}: rename them as their frames"
        )
    return [Problem(str(path), f"{some}: of no frame; {of}")]


def read_prediction(
    path: pathlib.Path, shape: tuple[int, ...], object_ids: Sequence[int], merged: bool
) -> UInt8[np.ndarray, "height width"] | Problem:
    """Returns the predicted ids, or what is wrong with the file.

    The values of a palette or grey picture are the ids, whatever its colours, as the official
    evaluators and servers take them. One that has no other values than 0 and 255 is one object.

    Args:
      path: a PNG.
      shape: (height, width) of the truth.
      object_ids: of the sequence.
      merged: whether all that is not 0 is one object, with id 1 (DAVIS 2016).
    """
    try:
        image = open_image(path)
    except InputError as error:
        return Problem(str(path), str(error).removeprefix(f"{path} "))
    if image.mode not in ("P", "L", "1"):
        kind = KINDS.get(image.mode, f"mode {image.mode}")
        return Problem(str(path), f"has {kind}, not ids: give a palette PNG (or a grey one)")
    ids = samples_of(image).astype(np.uint8)
    if ids.shape != shape:
        sizes = [f"{width}x{height}" for height, width in (ids.shape, shape)]
        return Problem(
            str(path), f"is {sizes[0]}, the truth {sizes[1]} (width x height): give its own size"
        )
    if merged:
        return (ids > 0).astype(np.uint8)
    if len(object_ids) == 1 and ids.max() == 255 and not (ids % 255).any():
        return np.where(ids > 0, np.uint8(object_ids[0]), np.uint8(0))
    return ids


def _listing(folder: pathlib.Path) -> frozenset[str]:
    return frozenset(path.name for path in entries(folder))


def _why_not_there(
    folder: pathlib.Path, name: str, files: frozenset[str] | None = None
) -> str | None:
    """Returns why there is no such file or folder, or None if there is."""
    files = _listing(folder) if files is None else files
    if name in files:
        return None
    others = sorted(each for each in files if each.lower() == name.lower())
    if others:
        return f"is missing; there is {others[0]}, in another case: rename it"
    others = sorted(each for each in files if _number(each) == _number(name) is not None)
    if others:
        return f"is missing; there is {others[0]}, with other zeros before it: rename it"
    return "is missing"


def _number(name: str) -> int | None:
    """Returns 3 of 3.png and 00003.PNG, None of a name that is no number."""
    stem, _, ending = name.lower().rpartition(".")
    return int(stem) if ending == "png" and stem.isdecimal() and stem.isascii() else None
