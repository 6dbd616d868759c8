"""What the sources of videos that lie in folders have in common."""

import itertools
import pathlib
from collections.abc import Iterable, Sequence

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.layouts import PICTURES, aligned, below, pictures
from stm_jax.data.listing import files_with
from stm_jax.data.samples import Sample, Video
from stm_jax.data.sources.protocol import Folder
from stm_jax.errors import InputError


def checked_folder(source: Folder) -> pathlib.Path:
    """Returns the folder, or raises InputError if it is not there."""
    if not source.folder.is_dir():
        raise InputError(f"{source.folder}: no such folder; give the one that holds JPEGImages")
    return source.folder


def masks_of(masks: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Returns the files of a video's masks; none without a folder of them."""
    return files_with(masks / name, PICTURES) if (masks / name).is_dir() else []


def fully_annotated(
    names: Sequence[str], frames: pathlib.Path, masks: pathlib.Path, merged: bool, rule: BadFiles
) -> list[Video]:
    """Lists videos of which every frame has a mask.

    Args:
        names: Of them, folders in `frames` and in `masks`.
        frames: The folder with the frames of all.
        masks: That with the masks of all.
        merged: Whether all objects of a mask count as one.
        rule: What becomes of videos that cannot be used.

    Raises:
        InputError: As `VideoSource.videos`.
    """

    def video(name: str) -> Video:
        files = pictures(below(frames, name))
        pairs = []
        for file, truth in zip(files, aligned(files, pictures(below(masks, name))), strict=True):
            if truth is None:
                raise InputError(f"{file} has no mask: there is none of its name in {masks / name}")
            pairs.append((file, truth))
        return annotated_video(name, frames / name, pairs, merged)

    return all_good(names, video, rule, str(frames))


def annotated_video(
    name: str,
    folder: pathlib.Path,
    annotated: Sequence[tuple[pathlib.Path, pathlib.Path]],
    merged: bool,
) -> Video:
    """Returns a video of these frames and masks; raises InputError if they are fewer than two."""
    if len(annotated) < 2:
        raise InputError(
            f"{folder} has {len(annotated)} frame with a mask: a clip needs two at least; remove it"
        )
    samples = tuple(Sample(file, truth, merged) for file, truth in annotated)
    return Video(name, samples, _every(file.stem for file, _ in annotated))


def _every(stems: Iterable[str]) -> int:
    """Returns how far the frames' numbers are apart, the smallest distance; 1 without numbers."""
    stems = list(stems)
    if not all(stem.isdecimal() for stem in stems):
        return 1
    numbers = [int(stem) for stem in stems]
    return max(1, min(after - before for before, after in itertools.pairwise(numbers)))
