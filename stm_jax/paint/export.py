"""Results of what was painted and followed, in the session's folder `export`.

They are of the masks as they are now: those that were given, those that were found, and without
objects that have been removed since.
"""

import pathlib
from collections.abc import Collection, Iterator
from typing import cast

import numpy as np

from stm_jax.annotate.annotator import Annotator
from stm_jax.data.masks import write_mask
from stm_jax.errors import InputError
from stm_jax.results.finished import SegmentedVideo
from stm_jax.results.make import PLACES, Kind, make
from stm_jax.results.probabilities import PROBABILITIES, write_probabilities
from stm_jax.runtime.claim import make_folder


def export(session: Annotator, kinds: Collection[str], folder: pathlib.Path) -> Iterator[str]:
    """Makes results; yields after each step "", or the path of a result that is there now.

    Args:
        session: What is exported.
        kinds: Of `stm_jax.results.make.Kind`.
        folder: Where they go; what was made there before is made again.

    Raises:
        InputError: There is no mask.
    """
    masks, soft_masks = folder / "masks", folder / PROBABILITIES
    make_folder(masks)
    make_folder(soft_masks)
    there = False
    for frame in range(session.count):
        name = session.reader.frames.name_of(frame)
        ids, soft = session.mask(frame), session.soft(frame)
        if ids is None:
            (masks / f"{name}.png").unlink(missing_ok=True)
            (soft_masks / f"{name}.npz").unlink(missing_ok=True)
            continue
        there = True
        write_mask(masks / f"{name}.png", ids, durable=False)
        if soft is not None:
            objects = np.array(soft.ids[1:], np.uint8)
            write_probabilities(soft_masks / f"{name}.npz", soft.planes, objects, durable=False)
        yield ""
    if not there:
        raise InputError("there is no mask yet: paint an object in any frame first")
    frames = session.reader.frames
    video = SegmentedVideo(frames, masks, soft_masks, frames.path.resolve().stem)
    for kind in kinds:
        make({cast(Kind, kind)}, video, folder)
        made = {**PLACES, "palette": "masks", "npz": PROBABILITIES}[kind]
        yield str(folder / made)
