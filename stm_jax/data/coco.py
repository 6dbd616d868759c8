"""The instances of a COCO annotations file, drawn without pycocotools when they are wanted."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.checks import shown
from stm_jax.errors import InputError
from stm_jax.json_files import load_json

MOST_SIDE = 10**5  # pixels
MOST_IDS = 254  # 255 is void
ANNOTATIONS = "give instances_train2017.json or one like it"

Segmentation = tuple[np.ndarray, ...] | str | tuple[int, ...]
"""Polygons, each (points, 2) float32 x and y; or run lengths, compressed or plain."""


@dataclasses.dataclass(frozen=True, eq=False)
class Outlines:
    """The objects of one image, to be drawn when its mask is wanted.

    Attributes:
        file: The annotations file, for saying where something is wrong.
        size: (height, width) of the image.
        objects: What each object covers.
    """

    file: pathlib.Path
    size: tuple[int, int]
    objects: tuple[Segmentation, ...]

    def ids(self) -> UInt8[np.ndarray, "height width"]:
        """Draws the objects as ids 1, 2, ..., small ones over large ones; 254 at most.

        Raises:
            InputError: The lengths of an object's runs are not those of an image of this size.
        """
        masks = [self._drawn(each) for each in self.objects]
        masks = sorted((mask for mask in masks if mask.any()), key=np.count_nonzero, reverse=True)
        ids = np.zeros(self.size, np.uint8)
        for number, mask in enumerate(masks[:MOST_IDS], 1):
            ids[mask] = number
        return ids

    def _drawn(self, segmentation: Segmentation) -> Bool[np.ndarray, "height width"]:
        if isinstance(segmentation, str):
            segmentation = run_lengths(segmentation)
        if segmentation and isinstance(segmentation[0], int):
            counts = np.array(segmentation)
            if (counts < 0).any() or counts.sum() != self.size[0] * self.size[1]:
                raise InputError(
                    f"{self.file}: an object's runs are {counts.sum()} pixels long in an image of "
                    f"{self.size[1]}x{self.size[0]}; get the file again"
                )
            columns = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
            return columns.reshape(self.size[::-1]).T
        inside = np.zeros(self.size, bool)
        for polygon in segmentation:
            inside |= filled(np.asarray(polygon), self.size)
        return inside


def filled(points: np.ndarray, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """Returns which pixels of an image have their centre inside a polygon (even-odd rule).

    Args:
        points: (n, 2), x to the right and y down, 0 at the edge of the image.
        size: (height, width).
    """
    height, width = size
    x0, y0 = points.T.astype(float)
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    centers = np.arange(height)[:, None] + 0.5
    row, edge = np.nonzero((y0 <= centers) != (y1 <= centers))
    slope = (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    crossing = x0[edge] + (centers[row, 0] - y0[edge]) * slope
    first = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)  # the first pixel beyond it
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (row, first), 1)
    return np.cumsum(turns[:, :-1], axis=1) % 2 == 1


def run_lengths(text: str) -> tuple[int, ...]:
    """Decodes COCO's compressed run lengths (rleFrString of its maskApi.c).

    A number is written in groups of 5 bits, the lowest first, each as a character from "0" on
    with bit 5 set if another follows; from the fourth on it is the difference to the one before
    the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return tuple(counts)


def runs_of(mask: Bool[np.ndarray, "height width"]) -> list[int]:
    """Returns the lengths of a mask's runs, column by column; the first is of background."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if flat[0] else [], [0], ends, [flat.size]]).astype(int)
    return np.diff(edges).tolist()


def compressed(counts: Sequence[int]) -> str:
    """Returns run lengths as COCO's text: what `run_lengths` reads."""
    text = []
    for place, count in enumerate(counts):
        value, more = count - (counts[place - 2] if place > 2 else 0), True
        while more:
            low, value = value & 31, value >> 5
            more = value != (-1 if low & 16 else 0)
            text.append(chr(48 + low + 32 * more))
    return "".join(text)


def read_annotations(path: pathlib.Path) -> list[tuple[str, Outlines]]:
    """Returns file name and objects of every image that has any; crowd regions are left out.

    Raises:
        InputError: The file is not there, or not of that kind.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; {ANNOTATIONS}")
    try:
        content = load_json(path)
        objects: dict[int, list[Segmentation]] = collections.defaultdict(list)
        for each in content["annotations"]:
            if not each.get("iscrowd"):
                objects[each["image_id"]].append(_compact(each["segmentation"]))
        return [
            (
                str(image["file_name"]),
                Outlines(path, _size(image), o),
            )
            for image in content["images"]
            if (o := tuple(objects[image["id"]]))
        ]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        reason = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(
            f"{path} is no COCO file with images and annotations, each with its segmentation "
            f"({shown(reason.removeprefix(f'{path} '))}): get it again"
        ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class CocoVideo:
    """The objects of one video of a COCO video file, as YouTube-VIS has them.

    Attributes:
        file_names: Of its frames, FOLDER/FRAME.jpg.
        size: (height, width) of its frames.
        objects: What each object covers in every frame, None where it is not seen.
    """

    file_names: tuple[str, ...]
    size: tuple[int, int]
    objects: dict[int, tuple[Segmentation | None, ...]]


def read_videos(path: pathlib.Path) -> list[CocoVideo]:
    """Returns the videos of a COCO video file.

    The id of an annotation is that of its object; in a file of several videos the objects of each
    are counted from 1, by their ids.

    Raises:
        InputError: The file is not there, or not of that kind.
    """
    try:
        content = load_json(path)
        several = len(content["videos"]) > 1
        videos = [_video(each, content["annotations"], several) for each in content["videos"]]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        reason = str(error) if isinstance(error, InputError) else repr(error)
        raise InputError(
            f"{path} is no file of COCO video, with videos and annotations, each with its"
            f" segmentations and an id of 1 to {MOST_IDS}"
            f" ({shown(reason.removeprefix(f'{path} '))}): make it again"
        ) from error
    return videos


def _video(video: Any, annotations: Any, several: bool) -> CocoVideo:
    names = tuple(str(name) for name in video["file_names"])
    found = [each for each in annotations if each["video_id"] == video["id"]]
    objects = {}
    for number, each in enumerate(sorted(found, key=lambda each: each["id"]), 1):
        object_id, parts = number if several else int(each["id"]), each["segmentations"]
        if len(parts) != len(names) or not 0 < object_id <= MOST_IDS:
            raise ValueError(f"annotation {each['id']}")
        objects[object_id] = tuple(None if part is None else _compact(part) for part in parts)
    return CocoVideo(names, (int(video["height"]), int(video["width"])), objects)


def _compact(segmentation: Any) -> Segmentation:
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        return counts if isinstance(counts, str) else tuple(int(count) for count in counts)
    polygons = tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation)
    if not all((np.abs(polygon) < MOST_SIDE).all() for polygon in polygons):  # nor NaN
        raise ValueError("a polygon is far off its image")
    return tuple(polygon.astype(np.float32) for polygon in polygons)


def _size(image: Any) -> tuple[int, int]:
    height, width = int(image["height"]), int(image["width"])
    if not (0 < height < MOST_SIDE and 0 < width < MOST_SIDE):
        raise ValueError(f"an image of {width}x{height}")
    return height, width
