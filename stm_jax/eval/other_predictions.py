"""Predictions of other kinds than a folder with a folder of masks for each sequence."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

import numpy as np

from stm_jax.data.burst import read_burst
from stm_jax.data.coco import Outlines, read_videos
from stm_jax.data.layouts import RESOLUTIONS
from stm_jax.data.masks import write_mask
from stm_jax.data.names import checked_name, file_below, written_below
from stm_jax.data.protocols import Protocol


@contextlib.contextmanager
def as_folder(predictions: pathlib.Path, protocol: Protocol) -> Iterator[pathlib.Path]:
    """Yields a folder of masks, folder/SEQUENCE/FRAME.png.

    Args:
        predictions: Such a folder; or one that is laid out as DAVIS, whose Annotations count; or a
            JSON file, which is drawn into a temporary folder.
        protocol: Of the data set: for burst, the JSON is in its form, else of COCO video.

    Raises:
        InputError: The JSON file is not of that kind.
    """
    if predictions.is_file() and predictions.suffix == ".json":
        with tempfile.TemporaryDirectory(prefix=f"{predictions.name} ") as name:
            draw = _draw_burst if protocol == "burst" else _draw
            draw(predictions, pathlib.Path(name))
            yield pathlib.Path(name)
        return
    masks = predictions / "Annotations"
    if not masks.is_dir():
        yield predictions
        return
    yield next((masks / each for each in RESOLUTIONS if (masks / each).is_dir()), masks)


def _draw_burst(file: pathlib.Path, folder: pathlib.Path) -> None:
    for video in read_burst(file):
        written_below(folder, video.name).mkdir()
        for index, mask in video.truths.items():
            name = pathlib.PurePosixPath(checked_name(video.frames[index], file)).stem
            write_mask(folder / video.name / f"{name}.png", mask.ids(), durable=False)


def _draw(file: pathlib.Path, folder: pathlib.Path) -> None:
    for video in read_videos(file):
        for index, name in enumerate(video.file_names):
            ids = np.zeros(video.size, np.uint8)
            for object_id, segmentations in video.objects.items():
                runs = segmentations[index]
                if runs is not None:
                    ids[Outlines(file, video.size, (runs,)).ids() > 0] = object_id
            mask = file_below(folder, name, file).with_suffix(".png")
            mask.parent.mkdir(parents=True, exist_ok=True)
            write_mask(mask, ids, durable=False)
