"""Frames and masks in the folders of DAVIS, so that a result can be trained on and measured.

    davis/JPEGImages/480p/NAME/FRAME.jpg
    davis/Annotations/480p/NAME/FRAME.png
    davis/ImageSets/2017/train.txt and val.txt

The folder is called 480p whatever the frames' size, for there the tools of DAVIS look first.
"""

import io
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stm_jax.data.masks import write_mask
from stm_jax.data.names import checked_name
from stm_jax.files import write_whole
from stm_jax.results.finished import SegmentedFrame

QUALITY = 95
WRITTEN = (
    *("JPEGImages/*/*/*.jpg", "JPEGImages/*/*", "JPEGImages/*", "JPEGImages"),
    *("Annotations/*/*/*.png", "Annotations/*/*", "Annotations/*", "Annotations"),
    *("ImageSets/2017/*.txt", "ImageSets/2017", "ImageSets"),
)
"""Patterns of what is in such a folder."""


def write_davis(root: pathlib.Path, frames: Iterable[SegmentedFrame], name: str) -> None:
    """Writes the frames and masks of a video as a data set of one sequence.

    Args:
        root: The folder.
        frames: In order. The first one with a mask of an object begins the sequence.
        name: Of the sequence.
    """
    checked_name(name, root)
    begun = False
    for frame in frames:
        begun = begun or bool(frame.ids.any())
        if not begun:  # DAVIS has all its objects in the first frame
            continue
        write_frame(root, name, frame.name, frame.rgb, frame.ids)
    write_lists(root, [name])


def write_frame(
    root: pathlib.Path,
    sequence: str,
    name: str,
    rgb: UInt8[np.ndarray, "height width 3"],
    ids: UInt8[np.ndarray, "height width"],
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes a frame of a sequence and its mask; returns both files, which are not flushed."""
    picture = root / "JPEGImages" / "480p" / sequence / f"{name}.jpg"
    mask = root / "Annotations" / "480p" / sequence / f"{name}.png"
    for file in (picture, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "JPEG", quality=QUALITY, subsampling="4:4:4")
    write_whole(picture, content.getvalue(), durable=False)
    write_mask(mask, ids, durable=False)
    return picture, mask


def write_lists(root: pathlib.Path, names: Sequence[str]) -> None:
    """Writes the lists of the splits train and val: both have all sequences."""
    for split in ("train", "val"):
        file = root / "ImageSets" / "2017" / f"{split}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, "".join(f"{name}\n" for name in names).encode(), durable=False)
