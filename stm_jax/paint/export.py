"""Results of what was painted and followed, in the session's folder `export`.

They are of the masks as they are now: those that were given, those that were found, and without
objects that have been removed since.

    export/exported.json    which results are whole
    export/masks, probabilities, report.html, and all of `stm_jax.results.make`
"""

import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np

from stm_jax.annotate.annotator import Annotator
from stm_jax.data.masks import write_mask
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import read_json
from stm_jax.report.page_of_session import FollowedVideo, write_session
from stm_jax.results.finished import SegmentedVideo
from stm_jax.results.make import PLACES, Kind, make
from stm_jax.results.probabilities import PROBABILITIES, write_probabilities
from stm_jax.runtime.claim import make_folder

WHOLE = "exported.json"
ALL: Mapping[str, str] = {
    "palette": "masks",
    **PLACES,
    "npz": PROBABILITIES,
    "report": "report.html",
}
"""What can be exported, and what it is called in the folder."""
WRITTEN_FIRST = frozenset({"palette", "npz"})
"""What the others are made of."""


def exported(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the results that are there, whole, and where."""
    whole = read_json(folder / WHOLE)
    return {kind: folder / name for kind, name in ALL.items() if whole.get(kind) is True}


def export(
    session: Annotator, kinds: Collection[str], folder: pathlib.Path, done: Callable[[], None]
) -> None:
    """Makes results. Masks are always among them, for others are made of those.

    Args:
        session: What is exported.
        kinds: Of `ALL`.
        folder: Where they go; what was made there before is made again.
        done: Called after each frame of each kind. What it raises ends this; what is whole by then
            stays.

    Raises:
        InputError: There is no mask, or there are no probabilities.
    """
    make_folder(folder)
    whole = exported(folder).keys() - {*WRITTEN_FIRST, *kinds}
    _note(folder, whole)
    video = _with_masks(session, folder, done)
    _note(folder, whole := whole | {"palette"})
    for kind in kinds:
        if kind == "npz" and not video.soft_files():
            raise InputError("no probabilities are kept: start stm-jax paint with --soft")
        if kind == "report":
            write_session(folder / ALL[kind], followed(session), done)
        else:
            make({cast(Kind, kind)}, video, folder, done)
        _note(folder, whole := whole | {kind})


def _with_masks(
    session: Annotator, folder: pathlib.Path, done: Callable[[], None]
) -> SegmentedVideo:
    """Writes the masks, and probabilities where they are kept."""
    frames = session.reader.frames
    video = SegmentedVideo(
        frames, folder / ALL["palette"], folder / ALL["npz"], frames.path.resolve().stem
    )
    make_folder(video.masks)
    make_folder(video.probabilities)
    for frame in range(session.count):
        mask = video.masks / f"{frames.name_of(frame)}.png"
        soft_mask = video.probabilities / f"{frames.name_of(frame)}.npz"
        ids, soft = session.mask(frame), session.soft(frame)
        if ids is None:
            mask.unlink(missing_ok=True)
        else:
            write_mask(mask, ids, durable=False)
        if soft is None or ids is None:
            soft_mask.unlink(missing_ok=True)
        else:
            objects = np.array(soft.ids[1:], np.uint8)
            write_probabilities(soft_mask, soft.planes, objects, durable=False)
        done()
    if not video.mask_files():
        raise InputError("there is no mask yet: paint an object in any frame first")
    return video


def followed(session: Annotator) -> FollowedVideo:
    """Returns a session as its report shows it."""
    frames = session.reader.frames
    return FollowedVideo(
        title=frames.path.resolve().stem,
        names=[frames.name_of(frame) for frame in range(session.count)],
        frame=session.reader.__getitem__,
        mask=session.mask,
        objects=session.objects,
        certainty=lambda t: {i: min(each) for i, each in session.certainty(t).items()},
        given=list(session.annotations),
        to_look_at=session.to_look_at(50),
    )


def _note(folder: pathlib.Path, whole: Collection[str]) -> None:
    write_json(folder / WHOLE, dict.fromkeys(sorted(whole), True))
