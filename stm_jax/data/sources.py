"""Lists what the sources of a configuration hold: photographs and videos, none of them read."""

import itertools
import pathlib
from collections.abc import Iterable

from stm_jax.data.bad_files import BadFiles, all_good
from stm_jax.data.coco import ANNOTATIONS, read_annotations
from stm_jax.data.config import (
    Coco,
    Davis,
    Photographs,
    PhotographSource,
    PreparedPhotographs,
    PreparedVideos,
    Videos,
    VideoSource,
    YoutubeVos,
)
from stm_jax.data.layouts import (
    LISTS_2016,
    LISTS_2017,
    PICTURES,
    aligned,
    annotations_of,
    below,
    by_resolution,
    folders,
    holds,
    listed,
    pictures,
    read_meta,
)
from stm_jax.data.listing import entries
from stm_jax.data.names import file_below
from stm_jax.data.records import prepared_photographs, prepared_videos
from stm_jax.data.samples import Sample, Video
from stm_jax.data.truth_masks import are_merged
from stm_jax.errors import InputError

PAIRED = (
    ("images", "masks"),
    ("DUTS-TR-Image", "DUTS-TR-Mask"),
    ("DUTS-TE-Image", "DUTS-TE-Mask"),
    ("images", "ground_truth_mask"),  # ECSSD
)
VOC = ("JPEGImages", "SegmentationObject", ".png")
SBD = ("img", "inst", ".mat")
"""Where pictures and masks are, and the masks' suffix. Most of the images of VOC have no mask."""

Pairs = Iterable[tuple[pathlib.Path, pathlib.Path | None]]


def check_is_there(source: Photographs | Coco | Davis | YoutubeVos | Videos) -> None:
    """Checks that a source is there and names something; takes no longer than to list its folders.

    Raises:
        InputError: A folder, a file or a list is missing, or there is nothing in it.
    """
    if isinstance(source, Coco):
        if not source.annotations.is_file():
            raise InputError(f"{source.annotations}: no such file; {ANNOTATIONS}")
        if not source.images.is_dir():
            raise InputError(f"{source.images}: no such folder; give the one with the images")
        return
    if isinstance(source, Photographs):
        there, where = bool(_pairs(source)), source.folder
    elif isinstance(source, YoutubeVos):
        where = below(_checked_folder(source), "JPEGImages")
        there = bool(folders(where))
    else:
        names, where, _ = _names(source)
        there = bool(names)
    if not there:
        raise InputError(f"there is nothing in {where} that can be used")


def photographs_of(source: PhotographSource, rule: BadFiles = "refuse") -> list[Sample]:
    """Lists the photographs of a source.

    Raises:
        InputError: There are none, the layout is unknown, or one has no mask (unless it is to be
            left out).
    """
    if isinstance(source, PreparedPhotographs):
        return prepared_photographs(source)
    if isinstance(source, Coco):
        found = [
            Sample(file_below(source.images, name, source.annotations), o)
            for name, o in read_annotations(source.annotations)
        ]
        return all_good(found, _checked, rule, str(source.annotations))
    return all_good(_pairs(source), _checked, rule, str(source.folder))


def videos_of(source: VideoSource, rule: BadFiles = "refuse") -> list[Video]:
    """Lists the videos of a source.

    Raises:
        InputError: There are none, or a folder or list is missing; or a video has one frame only
            or a frame without its mask (unless it is to be left out).
    """
    if isinstance(source, PreparedVideos):
        return prepared_videos(source)
    if isinstance(source, YoutubeVos):
        return _sparse_videos(source, rule)
    names, frames, masks = _names(source)
    if isinstance(source, Davis):
        merged = source.year == 2016
    else:
        merged = are_merged([p for name in names for p in _masks_of(masks, name)], str(masks))

    def video(name: str) -> Video:
        files = pictures(below(frames, name))
        truths = aligned(files, pictures(below(masks, name)))
        for file, truth in zip(files, truths, strict=True):
            if truth is None:
                raise InputError(f"{file} has no mask: there is none of its name in {masks / name}")
        return _video(name, frames / name, zip(files, truths, strict=True), merged)

    return all_good(names, video, rule, str(frames))


def _names(source: Davis | Videos) -> tuple[tuple[str, ...], pathlib.Path, pathlib.Path]:
    """Returns the names of the videos, and the folders of their frames and masks."""
    folder = _checked_folder(source)
    frames, masks = below(folder, "JPEGImages"), below(folder, "Annotations")
    if isinstance(source, Davis):
        frames, masks = below(frames, source.resolution), below(masks, source.resolution)
        lists = LISTS_2016 if source.year == 2016 else LISTS_2017
        return listed(folder, source.split, lists)[0], frames, masks
    frames, masks = by_resolution(frames, masks)
    return folders(frames), frames, masks


def _checked_folder(source: Davis | Videos | YoutubeVos) -> pathlib.Path:
    if not source.folder.is_dir():
        raise InputError(f"{source.folder}: no such folder; give the one that holds JPEGImages")
    return source.folder


def _pairs(source: Photographs) -> list[Sample]:
    folder = source.folder
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with photographs and masks")
    for images, masks in PAIRED:
        if (folder / images).is_dir() and (folder / masks).is_dir():
            files = _files(folder / images, PICTURES)
            truths = [folder / masks / f"{f.stem}.png" for f in files]
            merged = are_merged(truths, str(folder / masks))
            return [Sample(*pair, merged) for pair in zip(files, truths, strict=True)]
    for images, masks, suffix in (VOC, SBD):
        if (folder / images).is_dir() and (folder / masks).is_dir():
            files = _files(folder / masks, (suffix,))
            return [Sample(folder / images / f"{f.stem}.jpg", f) for f in files]
    files = _files(folder, (".jpg", ".jpeg"))
    if any(file.with_suffix(".png").is_file() for file in files):  # MSRA10K
        truths = [file.with_suffix(".png") for file in files]
        merged = are_merged(truths, str(folder))
        return [Sample(*pair, merged) for pair in zip(files, truths, strict=True)]
    looked_for = ", ".join(
        f"{images}/ with {masks}/" for images, masks in (*PAIRED, VOC[:2], SBD[:2])
    )
    raise InputError(
        f"{folder} has no photographs with masks: looked for {looked_for}, and NAME.jpg with "
        f"NAME.png; {holds(folder)}"
    )


def _sparse_videos(source: YoutubeVos, rule: BadFiles) -> list[Video]:
    given_in = annotations_of(_checked_folder(source), source.folder.name)
    frames, masks = below(source.folder, "JPEGImages"), below(given_in, "Annotations")
    meta = read_meta(given_in / "meta.json")
    listed_masks = [p for name in meta or folders(frames) for p in _masks_of(masks, name)]
    merged = are_merged(listed_masks, str(masks))

    def video(name: str) -> Video:
        files = pictures(below(frames, name))
        truths = aligned(files, pictures(below(masks, name)))
        annotated = [(f, t) for f, t in zip(files, truths, strict=True) if t is not None]
        if meta is not None:
            named = {stem for _, stems in meta[name].values() for stem in stems}
            missing = sorted(named - {file.stem for file, _ in annotated})
            if missing:
                raise InputError(
                    f"{masks / name} has no mask {missing[0]}, or it has no frame, but "
                    f"{given_in / 'meta.json'} names it"
                )
        return _video(name, frames / name, annotated, merged)

    return all_good(folders(frames) if meta is None else meta, video, rule, str(frames))


def _video(name: str, folder: pathlib.Path, pairs: Pairs, merged: bool) -> Video:
    annotated = [(file, truth) for file, truth in pairs if truth is not None]
    samples = tuple(Sample(file, truth, merged) for file, truth in annotated)
    if len(samples) < 2:
        raise InputError(
            f"{folder} has {len(samples)} frame with a mask: a clip needs two at least; remove it"
        )
    return Video(name, samples, _every([file.stem for file, _ in annotated]))


def _every(stems: list[str]) -> int:
    """Returns how far the frames' numbers are apart, the smallest distance; 1 without numbers."""
    if not all(stem.isdecimal() for stem in stems):
        return 1
    numbers = [int(stem) for stem in stems]
    return max(1, min(after - before for before, after in itertools.pairwise(numbers)))


def _files(folder: pathlib.Path, suffixes: tuple[str, ...]) -> list[pathlib.Path]:
    return [path for path in entries(folder) if path.suffix.lower() in suffixes]


def _masks_of(masks: pathlib.Path, name: str) -> list[pathlib.Path]:
    return _files(masks / name, PICTURES) if (masks / name).is_dir() else []


def _checked(sample: Sample) -> Sample:
    if isinstance(sample.mask, pathlib.Path) and not sample.mask.is_file():
        raise InputError(f"{sample.image} has no mask: there is no {sample.mask}")
    if isinstance(sample.image, pathlib.Path) and not sample.image.is_file():
        raise InputError(f"{sample.image}: no such image, but there is a mask of it")
    return sample
