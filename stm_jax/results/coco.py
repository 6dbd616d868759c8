"""Masks as COCO video: the JSON of YouTube-VIS, with the run lengths of pycocotools."""

import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool

from stm_jax.data.coco import compressed, runs_of
from stm_jax.files import write_json
from stm_jax.results.finished import SegmentedFrame


def write_coco(path: pathlib.Path, frames: Iterable[SegmentedFrame], name: str) -> None:
    """Writes the masks of a video as one JSON file.

    An annotation is an object and has its id; in frames that do not show it, it is null.

    Args:
        path: The file.
        frames: In order.
        name: Of the video; the frames are called name/FRAME.jpg.
    """
    file_names: list[str] = []
    objects: dict[int, dict[str, list[Any]]] = {}
    height = width = 0
    for number, frame in enumerate(frames):
        file_names.append(f"{name}/{frame.name}.jpg")
        height, width = frame.ids.shape
        for object_id in (i for i in np.unique(frame.ids).tolist() if i > 0):
            kept = objects.setdefault(object_id, {"segmentations": [], "bboxes": [], "areas": []})
            for key, value in _shown(frame.ids == object_id).items():
                kept[key] += [None] * (number - len(kept[key])) + [value]
    for kept in objects.values():
        for values in kept.values():
            values += [None] * (len(file_names) - len(values))
    size = {"width": width, "height": height, "length": len(file_names)}
    of_all = {"video_id": 1, "category_id": 1, "iscrowd": 0}
    content = {
        "info": {"description": name},
        "categories": [{"id": 1, "name": "object", "supercategory": "object"}],
        "videos": [{"id": 1, "name": name, "file_names": file_names} | size],
        "annotations": [
            {"id": object_id} | of_all | size | kept for object_id, kept in sorted(objects.items())
        ],
    }
    write_json(path, content, indent=None)


def _shown(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """Returns what one frame says of an object that it shows."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "segmentations": {"size": list(mask.shape), "counts": compressed(runs_of(mask))},
        "bboxes": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "areas": int(mask.sum()),
    }
