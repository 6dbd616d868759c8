"""How data sets of videos lie on disk: folders, lists, resolutions, annotations beside frames.

Whoever finds something missing says what was looked for and what is there.
"""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stm_jax.checks import shown
from stm_jax.data.image_files import natural
from stm_jax.data.listing import entries, files_with, read_list
from stm_jax.data.names import checked_name, folder_below
from stm_jax.errors import InputError
from stm_jax.json_files import from_json, load_json

LVOS_STEP = 5  # of its frames' numbers: 6 a second of 30
MOST_FRAMES = 10**7

PICTURES = (".jpg", ".jpeg", ".png")
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
LISTS_2016 = ("2016", *RESOLUTIONS)
LISTS_2017 = ("2017",)
"""Where in ImageSets the lists of DAVIS lie; those of 2016 named a resolution at first."""


def find_list(root: pathlib.Path, split: str, years: Sequence[str]) -> pathlib.Path | None:
    """Returns the first ImageSets/YEAR/SPLIT.txt that is there."""
    checked_name(split, "split")
    lists = [root / "ImageSets" / year / f"{split}.txt" for year in years]
    return next((path for path in lists if path.is_file()), None)


def listed(root: pathlib.Path, split: str, years: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Returns the names of a split, and where they are from.

    Raises:
        InputError: There is no such list.
    """
    found = find_list(root, split, years)
    if found is None:
        lists = [root / "ImageSets" / year / f"{split}.txt" for year in years]
        there = sorted(str(p.relative_to(root)) for p in (root / "ImageSets").glob("**/*.txt"))
        raise InputError(
            f"no list of the split {split}: looked for {' and '.join(map(str, lists))}; "
            + (f"there are {', '.join(there)}" if there else f"{root} has no lists in ImageSets")
        )
    names = [_named(line) for line in read_list(found)]
    return tuple(dict.fromkeys(names)), str(found)


def _named(line: str) -> str:
    """Returns the name in a line: all of it, or of /JPEGImages/480p/NAME/00000.jpg MASK, NAME."""
    path = re.match(r"(.*?\.(?:jpe?g|png))(\s|$)", line, re.IGNORECASE)
    return pathlib.PurePosixPath(path[1]).parent.name if path and "/" in path[1] else line


def read_meta(path: pathlib.Path) -> dict[str, dict[int, tuple[str, list[str]]]] | None:
    """Returns category and annotated frames of each object of each video; None without a file."""
    if not path.is_file():
        return None
    try:
        meta = from_json(_Meta, load_json(path), others=True)
        found = {
            name: {_id(i): (each.category, list(each.frames)) for i, each in video.objects.items()}
            for name, video in meta.videos.items()
        }
    except InputError as error:
        raise InputError(
            f"{path} is no list of videos with their objects, each with its frames"
            f" ({str(error).removeprefix(f'{path} ')}): get it again"
        ) from error
    return found


def read_ranges(path: pathlib.Path) -> dict[str, dict[int, tuple[int, ...]]]:
    """Returns the numbers of the frames in which each object of each video of LVOS is scored.

    They are every fifth from `start` on, before `end`, but the first, whose mask is given, and
    that at place `frame_nums` - 1, the last: as the evaluator of LVOS counts.

    Raises:
        InputError: There is no such file, or it is not of that kind.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file: put the meta JSON of LVOS there, which says where each object"
            " is scored"
        )
    try:
        return {
            name: {_id(i): _scored(each["frame_range"]) for i, each in video["objects"].items()}
            for name, video in load_json(path)["videos"].items()
        }
    except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(
            f"{path} is no list of videos with their objects, each with its frame_range"
            f" ({shown(reason.removeprefix(f'{path} '))}): get it again"
        ) from error


def _scored(of_object: Mapping[str, Any]) -> tuple[int, ...]:
    start, end, count = (int(of_object[key]) for key in ("start", "end", "frame_nums"))
    if not 0 <= start < end < MOST_FRAMES:
        raise InputError(f"frames from {start} to {end}")
    numbers = range(start, end, LVOS_STEP)
    return tuple(number for k, number in enumerate(numbers) if k not in (0, count - 1))


def _id(text: str) -> int:
    if not (text.isdecimal() and len(text) < 4 and 0 < int(text) < 255):
        raise InputError(f"the object {shown(text)} is none of 1 to 254")
    return int(text)


@dataclasses.dataclass(frozen=True)
class _Object:
    frames: tuple[str, ...]
    category: str = ""


@dataclasses.dataclass(frozen=True)
class _Video:
    objects: dict[str, _Object]


@dataclasses.dataclass(frozen=True)
class _Meta:
    """What meta.json of YouTube-VOS holds, as far as it is wanted."""

    videos: dict[str, _Video]


def chosen(existing: Sequence[str], names: Sequence[str], source: str) -> Sequence[str]:
    """Returns those of the existing that `names` has, all if it is empty, in the list's order."""
    if not existing:
        raise InputError(f"there are no sequences in {source}")
    for name in existing:
        checked_name(name, source)
    for name in names:
        if name not in existing:
            near = [each for each in existing if each.lower() == name.lower()]
            some = ", ".join(existing[:8]) + (", ..." if len(existing) > 8 else "")
            hint = f"but {near[0]}, in another case" if near else f"there are {some}"
            raise InputError(f"no sequence {name} in {source}: {hint}")
    return [name for name in existing if not names or name in names]


def by_resolution(frames: pathlib.Path, masks: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the two folders, or those of a resolution below them, 480p before any other."""
    for name in RESOLUTIONS:
        if (frames / name).is_dir():
            return frames / name, below(masks, name)
    return frames, masks


def below(parent: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the folder of that name, or raises InputError that says what is there."""
    if folder_below(parent, name).is_dir():
        return parent / name
    raise InputError(f"{parent / name}: no such folder; {holds(parent, name)}")


def holds(folder: pathlib.Path, name: str = "") -> str:
    """Says what a folder holds, and whether it has `name` in another case."""
    found = [path.name for path in entries(folder)]
    near = [each for each in found if each.lower() == name.lower()]
    if near:
        return f"{folder} holds {near[0]}, in another case: rename it"
    return f"{folder} holds {', '.join(found[:8]) or 'nothing'}{', ...' if len(found) > 8 else ''}"


def check_not_empty(found: Sequence[object], where: pathlib.Path) -> None:
    """Raises InputError if nothing was found."""
    if not found:
        raise InputError(f"there is nothing in {where} that can be used")


def folders(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns the names of the folders in a folder."""
    return tuple(path.name for path in entries(folder) if path.is_dir())


def pictures(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Returns the pictures of a folder, frame2 before frame10."""
    files = files_with(folder, PICTURES)
    if not files:
        raise InputError(f"{folder} has no pictures in it ({' '.join(PICTURES)})")
    return tuple(sorted(files, key=natural))


def aligned(
    frames: Sequence[pathlib.Path], masks: Sequence[pathlib.Path]
) -> tuple[pathlib.Path | None, ...]:
    """Returns the mask of each frame, by name."""
    by_stem = {path.stem: path for path in masks}
    without = sorted(by_stem.keys() - {path.stem for path in frames})
    if without:
        raise InputError(f"{by_stem[without[0]]} has no frame of that name in {frames[0].parent}")
    return tuple(by_stem.get(path.stem) for path in frames)


def annotations_of(base: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the folder that holds Annotations and meta.json of a split of YouTube-VOS.

    It is `base`, which holds the frames; or `valid` beside `valid_all_frames`, and its kind.
    """
    plain = split.removesuffix("_all_frames")
    parents = [base, *(above / plain for above in base.parents[:2])]
    return next((parent for parent in parents if (parent / "Annotations").is_dir()), base)
