"""Data sets to measure on: which frames, which masks are given, which are wanted, which are known.

DAVIS 2016 and 2017, YouTube-VOS, MOSE, LVOS, VOST, BURST, Long-time Video, and any folder that
looks like one of them. Nothing is read but lists and the masks that are given to the method.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.burst import burst_videos
from stm_jax.data.image_files import Encoded
from stm_jax.data.layouts import (
    LISTS_2016,
    LISTS_2017,
    aligned,
    annotations_of,
    below,
    by_resolution,
    chosen,
    find_list,
    folders,
    holds,
    listed,
    pictures,
    read_meta,
    read_ranges,
)
from stm_jax.data.mask_values import VOID
from stm_jax.data.names import checked_name
from stm_jax.data.protocols import RULES, Protocol
from stm_jax.data.truth_masks import are_merged, read_truth
from stm_jax.errors import InputError

LISTS = {
    "davis2016": LISTS_2016,
    "davis2017": LISTS_2017,
    "vost": ("",),
    "folder": ("", "2017", "2016"),
}
SPLITS = {"valid": ("valid", "val"), "val": ("valid", "val")}
"""Folders of the two spellings, of those data sets that have a folder a split."""


@dataclasses.dataclass(frozen=True)
class BenchmarkSequence:
    """One video of a data set.

    Attributes:
        name: As the data set calls it.
        frames: Every frame to segment, in order.
        truths: The true mask of each frame, None where there is none (or it is kept secret).
        given: Which objects' masks the method is given, by the index of the frame. DAVIS gives
            all in frame 0; in YouTube-VOS some objects appear later.
        wanted: Indices of the frames whose masks are the result.
        categories: What each object is, where the data set says so (YouTube-VOS, BURST).
        merged: Whether all objects count as one, with id 1 (DAVIS 2016, black and white).
        scored: The frames in which each object is scored, where the data set says so (LVOS); for
            all others the benchmark's rules do.
        category_ids: BURST: the number of each object's category.
    """

    name: str
    frames: tuple[pathlib.Path, ...]
    truths: tuple[Encoded | None, ...]
    given: Mapping[int, tuple[int, ...]]
    wanted: tuple[int, ...]
    categories: Mapping[int, str] = dataclasses.field(default_factory=dict)
    merged: bool = False
    scored: Mapping[int, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    category_ids: Mapping[int, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_name(self.name, "sequence")  # folders and members of archives are called so

    @property
    def object_ids(self) -> tuple[int, ...]:
        """All objects that the method is given, ascending."""
        return tuple(sorted({i for ids in self.given.values() for i in ids}))

    def truth(self, index: int) -> UInt8[np.ndarray, "height width"]:
        """Returns the true ids of a frame; 0 is background, 255 void.

        Raises:
            InputError: The frame has no true mask, or it cannot be read.
        """
        path = self.truths[index]
        if path is None:
            raise InputError(f"{self.frames[index]} has no true mask")
        return read_truth(path, self.merged)

    def given_mask(self, index: int) -> UInt8[np.ndarray, "height width"]:
        """Returns what the method is told at a frame of `given`: those objects, all else 0."""
        ids = self.truth(index)
        return np.where(np.isin(ids, self.given[index]), ids, 0).astype(np.uint8)


def benchmark_sequences(
    root: pathlib.Path, protocol: Protocol, split: str = "val", names: Sequence[str] = ()
) -> tuple[BenchmarkSequence, ...]:
    """Returns the sequences of a split of a data set on disk.

    Args:
        root: The folder that holds `JPEGImages` and `Annotations`, with or without a level for the
            resolution below (480p is preferred); for YouTube-VOS, MOSE and LVOS also the folder
            above that of the split; for BURST the folder that holds `frames`.
        protocol: How the data set lies on disk, and what it gives and wants.
            davis2016: all objects are one. Lists: ImageSets/2016 (names) or ImageSets/480p
            (pairs of paths). davis2017: lists in ImageSets/2017; test-dev has only first masks.
            youtube-vos: an object is given where `meta.json`, or else the masks, show it first;
            the frames that `meta.json` names are wanted, all if it is missing.
            mose: all folders in JPEGImages; `valid` has only first masks.
            lvos: `valid_meta.json` (val, test) names the objects and the frames of each; an object
            is given where the masks show it first.
            vost: lists in ImageSets; frames of JPEGImages_10fps if it is there, of which those with
            a mask are wanted.
            burst: frames/SPLIT/SOURCE/VIDEO, and annotations/SPLIT/all_classes.json or
            SPLIT/all_classes.json; a video is called SOURCE-VIDEO; frames that are annotated are
            wanted.
            long-video: all folders in JPEGImages, XMem's long_video or long_video_x3; the frames
            with a mask are wanted.
            folder: all folders in JPEGImages, or those of a list of that split; an object is
            given where the masks show it first. If all are black and white, they show one object.
        split: train, val, test-dev, ...; for YouTube-VOS, MOSE and LVOS val is `valid`, and
            YouTube-VOS's `valid_all_frames` takes its frames from there, its masks and wanted
            frames from `valid`. Long-time Video has none.
        names: Only these sequences, in the data set's order; () for all.

    Raises:
        InputError: The folders, the list, a sequence or a first mask is missing, or a mask has no
            frame. It says what was looked for and what is there.
    """
    root = pathlib.Path(root)
    if protocol not in get_args(Protocol):
        raise InputError(f"no protocol {protocol}; there are {', '.join(get_args(Protocol))}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder: give the one that holds JPEGImages")
    if protocol == "youtube-vos":
        return _youtube_vos(root, split, names)
    if protocol == "lvos":
        return _lvos(root, split, names)
    if protocol == "burst":
        return _burst(root, split, names)
    return _listed_or_all(root, protocol, split, names)


def _listed_or_all(
    root: pathlib.Path, protocol: Protocol, split: str, names: Sequence[str]
) -> tuple[BenchmarkSequence, ...]:
    """Returns sequences that lie as those of DAVIS do: what is not in a list is in folders."""
    if protocol == "mose":
        root = _of_split(root, split)
    dense = root / "JPEGImages_10fps"
    first = dense if protocol == "vost" and dense.is_dir() else below(root, "JPEGImages")
    frames, masks = by_resolution(first, below(root, "Annotations"))
    years = LISTS.get(protocol)
    if years is None or (protocol == "folder" and find_list(root, split, years) is None):
        listed_names, source = folders(frames), str(frames)
    else:
        listed_names, source = listed(root, split, years)
    kept = chosen(listed_names, names, source)
    merged = protocol == "davis2016" or (
        protocol == "folder"
        and are_merged([path for name in kept for path in pictures(below(masks, name))], str(masks))
    )
    rules, sequences = RULES[protocol], []
    for name in kept:
        files = pictures(below(frames, name))
        truths = aligned(files, pictures(below(masks, name)))
        known = [index for index, path in enumerate(truths) if path is not None]
        if rules.given == "first" and known[0] != 0:
            raise InputError(f"{masks / name} has no mask of the first frame, {files[0]}")
        given = _first_shown(truths[:1] if rules.given == "first" else truths, merged)
        annotated = rules.wanted == "annotated" and len(known) > 1
        wanted = tuple(known) if annotated else tuple(range(len(files)))
        sequences.append(BenchmarkSequence(name, files, truths, given, wanted, {}, merged))
    return tuple(sequences)


def _of_split(root: pathlib.Path, split: str) -> pathlib.Path:
    """Returns the folder of a split that holds JPEGImages: below `root`, or `root` itself."""
    split = checked_name(split, "split")
    places = [*(root / name for name in SPLITS.get(split, (split,))), root]
    base = next((place for place in places if (place / "JPEGImages").is_dir()), None)
    if base is None:
        raise InputError(
            f"no JPEGImages in {' or '.join(map(str, places))}: give the folder that holds"
            f" {split}; {holds(root)}"
        )
    return base


def _lvos(root: pathlib.Path, split: str, names: Sequence[str]) -> tuple[BenchmarkSequence, ...]:
    base = _of_split(root, split)
    kinds = dict.fromkeys([base.name, *SPLITS.get(split, (split,))])
    files = [base / f"{kind}_meta.json" for kind in kinds]
    meta = next((path for path in [*files, base / "meta.json"] if path.is_file()), files[0])
    ranges, sequences = read_ranges(meta), []
    for name in chosen(tuple(ranges), names, str(meta)):
        frames = pictures(below(base / "JPEGImages", name))
        truths = aligned(frames, pictures(below(below(base, "Annotations"), name)))
        given = _first_shown(truths, False, set(ranges[name]))
        place = {int(f.stem): i for i, f in enumerate(frames) if f.stem.isdecimal()}
        scored = {}
        for object_id, numbers in ranges[name].items():
            missing = [f"{number:08d}" for number in numbers if number not in place]
            if missing:
                where = base / "JPEGImages" / name
                raise InputError(f"{where} has no frame {missing[0]}, which {meta} names")
            scored[object_id] = tuple(place[number] for number in numbers)
        wanted = tuple(range(len(frames)))
        sequences.append(BenchmarkSequence(name, frames, truths, given, wanted, scored=scored))
    return tuple(sequences)


def _burst(root: pathlib.Path, split: str, names: Sequence[str]) -> tuple[BenchmarkSequence, ...]:
    frames = below(below(root, "frames"), split)
    file, videos = burst_videos(root, split)
    by_name = {video.name: video for video in videos}
    sequences = []
    for name in chosen(tuple(by_name), names, str(file)):
        video = by_name[name]
        folder = below(below(frames, video.source), video.folder)
        files = tuple(folder / checked_name(each, file) for each in video.frames)
        missing = [path for path in files if not path.is_file()]
        if missing:
            raise InputError(f"{missing[0]}: no such frame, which {file} names")
        sequences.append(
            BenchmarkSequence(
                name,
                files,
                truths=tuple(video.truths.get(index) for index in range(len(files))),
                given=video.given,
                wanted=tuple(video.truths),
                categories=video.categories,
                category_ids=video.category_ids,
            )
        )
    return tuple(sequences)


def _youtube_vos(
    root: pathlib.Path, split: str, names: Sequence[str]
) -> tuple[BenchmarkSequence, ...]:
    split = checked_name("valid" if split == "val" else split, "split")
    places = [root / split, root / "all_frames" / split]
    if split == "valid" or root.name == split:
        places.append(root)
    base = next((place for place in places if (place / "JPEGImages").is_dir()), None)
    if base is None:
        raise InputError(
            f"no JPEGImages in {' or '.join(map(str, places))}: give the folder that holds"
            f" {split}; {holds(root)}"
        )
    given_in = annotations_of(base, split)
    frames, masks = base / "JPEGImages", below(given_in, "Annotations")
    meta = read_meta(given_in / "meta.json")
    listed_names = folders(frames) if meta is None else tuple(meta)
    source = str(frames if meta is None else given_in / "meta.json")
    sequences = []
    for name in chosen(listed_names, names, source):
        files = pictures(below(frames, name))
        truths = aligned(files, pictures(below(masks, name)))
        wanted, categories = tuple(range(len(files))), {}
        if meta is not None:
            stems = {picture.stem: index for index, picture in enumerate(files)}
            named = sorted({stem for _, shown in meta[name].values() for stem in shown})
            missing = [stem for stem in named if stem not in stems]
            if missing:
                raise InputError(f"{frames / name} has no frame {missing[0]}, which {source} names")
            wanted = tuple(sorted(stems[stem] for stem in named))
            categories = {i: category for i, (category, _) in meta[name].items() if category}
        given = _first_shown(truths, False, None if meta is None else set(meta[name]))
        sequences.append(BenchmarkSequence(name, files, truths, given, wanted, categories))
    return tuple(sequences)


def _first_shown(
    truths: Iterable[Encoded | None], merged: bool, expected: set[int] | None = None
) -> dict[int, tuple[int, ...]]:
    """Returns which ids are shown first in which mask; stops once all the expected are found."""
    given: dict[int, tuple[int, ...]] = {}
    seen: set[int] = set()
    last = None
    for index, path in enumerate(truths):
        if path is None:
            continue
        if expected is not None and expected <= seen:
            break
        last = path
        counts = np.bincount(read_truth(path, merged).ravel(), minlength=256)
        shown = set(np.flatnonzero(counts).tolist()) - {0, VOID}
        new = (shown if expected is None else shown & expected) - seen
        if new:
            given[index] = tuple(sorted(new))
            seen |= new
    if not given:
        raise InputError(
            f"{last} is empty, it shows background or void only: there is nothing to follow"
        )
    return given
