"""The annotations of BURST (Athar et al., WACV 2023): one JSON a split, masks as run lengths.

Its form is that of ANNOTATION_FORMAT.md in BURST-benchmark. Frames are annotated once a second;
a track is given to a method where it is seen first, which is what `first_frame_annotations.json`
holds as well.
"""

import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.checks import shown
from stm_jax.data.coco import MOST_IDS, Outlines
from stm_jax.data.names import checked_name
from stm_jax.data.palette import davis_palette
from stm_jax.errors import InputError
from stm_jax.json_files import load_json

ALL = "all_classes.json"


@dataclasses.dataclass(frozen=True)
class RunLengths:
    """The true mask of a frame as run lengths; reads as a palette PNG does (`Encoded`).

    Attributes:
        file: The JSON that holds them.
        name: Of the frame, SOURCE-VIDEO/FRAME.
        size: (height, width).
        runs: COCO's compressed run lengths of each id that the frame shows.
    """

    file: pathlib.Path
    name: str
    size: tuple[int, int]
    runs: Mapping[int, str]

    @property
    def parent(self) -> pathlib.Path:
        """The JSON file."""
        return self.file

    def __str__(self) -> str:
        return f"{self.file} ({self.name})"

    def ids(self) -> UInt8[np.ndarray, "height width"]:
        """Draws the mask; where two objects overlap, the later in the file covers the earlier."""
        ids = np.zeros(self.size, np.uint8)
        for object_id, runs in self.runs.items():
            ids[Outlines(self.file, self.size, (runs,)).ids() > 0] = object_id
        return ids

    def read_bytes(self) -> bytes:
        """Returns the mask as a PNG."""
        image, file = Image.fromarray(self.ids()), io.BytesIO()
        image.putpalette(davis_palette().tobytes())
        image.save(file, "PNG", compress_level=1)
        return file.getvalue()


@dataclasses.dataclass(frozen=True)
class BurstVideo:
    """One video of BURST.

    Attributes:
        source: The data set that it is from, a folder of `frames/SPLIT`.
        folder: Of its frames, in that.
        frames: Their file names, all of them, in order.
        truths: The masks of those that are annotated, by index.
        given: Which objects are seen first in which frame, by index.
        categories: What each object is.
        category_ids: The same by number.
    """

    source: str
    folder: str
    frames: tuple[str, ...]
    truths: Mapping[int, RunLengths]
    given: Mapping[int, tuple[int, ...]]
    categories: Mapping[int, str]
    category_ids: Mapping[int, int]

    @property
    def name(self) -> str:
        """What it is called here: one folder, unlike SOURCE/VIDEO."""
        return f"{self.source}-{self.folder}"


def burst_videos(root: pathlib.Path, split: str) -> tuple[pathlib.Path, tuple[BurstVideo, ...]]:
    """Returns the annotations file of a split and its videos.

    Raises:
        InputError: There is none, or it is not of that kind.
    """
    split = checked_name(split, "split")
    places = [root / "annotations" / split / ALL, root / split / ALL]
    file = next((path for path in places if path.is_file()), None)
    if file is None:
        raise InputError(f"no {ALL} of {split}: looked for {' and '.join(map(str, places))}")
    return file, read_burst(file)


def read_burst(file: pathlib.Path) -> tuple[BurstVideo, ...]:
    """Returns the videos of an annotations file, or of predictions, which are of the same form.

    Those that show no object are passed over.

    Raises:
        InputError: It is not of that kind, or has ids that no mask of 8 bits can hold.
    """
    content = load_json(file)
    try:
        names = {int(each["id"]): str(each["name"]) for each in content["categories"]}
        videos = [_video(file, each, names) for each in content["sequences"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):  # says by itself what is wrong, and where
            raise
        raise InputError(
            f"{file} is no file of BURST, with sequences and their segmentations, track ids of 1"
            f" to {MOST_IDS} ({shown(repr(error))}): get it again"
        ) from error
    return tuple(video for video in videos if video.given)


def _video(file: pathlib.Path, video: Mapping[str, Any], names: Mapping[int, str]) -> BurstVideo:
    frames = tuple(str(each) for each in video["all_image_paths"])
    place = {name: index for index, name in enumerate(frames)}
    size = int(video["height"]), int(video["width"])
    source, folder = (checked_name(video[key], file) for key in ("dataset", "seq_name"))
    classes = {int(i): int(each) for i, each in video["track_category_ids"].items()}
    truths, given, seen = {}, {}, set()
    annotated = zip(video["annotated_image_paths"], video["segmentations"], strict=True)
    for name, shown_there in sorted(annotated, key=lambda each: place[each[0]]):
        runs = {int(i): str(each["rle"]) for i, each in shown_there.items()}
        if not all(0 < object_id <= MOST_IDS and object_id in classes for object_id in runs):
            raise ValueError(f"track ids {sorted(runs)} of {name}")
        truths[place[name]] = RunLengths(file, f"{source}-{folder}/{name}", size, runs)
        if runs.keys() - seen:
            given[place[name]] = tuple(sorted(runs.keys() - seen))
            seen |= runs.keys()
    categories = {object_id: names[classes[object_id]] for object_id in sorted(seen)}
    return BurstVideo(
        source,
        folder,
        frames,
        truths,
        given,
        categories,
        {object_id: classes[object_id] for object_id in sorted(seen)},
    )
