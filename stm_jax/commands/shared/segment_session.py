"""`stm-jax segment` with masks of any frames: a session in the --out folder.

Between two runs nothing is lost: what was given before and is not given now is taken back, what is
new is added, and only what depends on either is done again.
"""

import pathlib
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from stm_jax.commands.shared import segment_folder
from stm_jax.commands.shared.segment_folder import RESUME
from stm_jax.errors import InputError
from stm_jax.files import write_json
from stm_jax.json_files import read_json
from stm_jax.results.make import PLACES, Kind, make
from stm_jax.runtime.claim import claimed, remove_written
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.stopping import stop_between_frames
from stm_jax.runtime.used_memory import process_peak

if TYPE_CHECKING:
    from stm_jax.annotate.annotations import Annotation
    from stm_jax.annotate.annotator import Annotator, Way

STREAM = (*RESUME, "segment.json", PLACES["overlay"])
"""What a run with one mask has left that is not true of a session, or not needed in it."""


def written() -> tuple[str, ...]:
    """Returns patterns of all that any run of the command writes, folders after what is in them."""
    from stm_jax.annotate import session_folder

    return tuple(dict.fromkeys((*segment_folder.WRITTEN, *session_folder.WRITTEN)))


def is_session(out: pathlib.Path) -> bool:
    """Says whether the folder holds a session already."""
    return (out / "annotations.json").is_file()


def start_again(out: pathlib.Path, *, everything: bool) -> None:
    """Removes what a run with one mask has left besides masks, or everything of any run."""
    from stm_jax.annotate.session_folder import COMMAND

    with claimed(out, COMMAND, written()):
        if everything:
            remove_written(out, written())
        elif not is_session(out):
            remove_written(out, STREAM)


def give(session: "Annotator", given: "Mapping[int, Annotation]") -> None:
    """Has a session be annotated so, and not otherwise."""
    before = session.annotations
    for frame in before.keys() - given.keys():
        session.unannotate(frame)
    for frame, each in given.items():
        if frame not in before or before[frame].digest != each.digest:
            session.annotate(frame, each.mask, each.objects)


def follow(
    session: "Annotator",
    way: "Way",
    save: Collection[Kind],
    out: pathlib.Path,
    notes: Mapping[str, Any],
) -> None:
    """Follows what is to be followed, and makes the results of the frames that were.

    Raises:
        InputError: No mask reaches any of the frames.
        KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; what was done is kept.
    """
    begun, done = time.monotonic(), 0
    states = session.states(way)
    there = states.count("done") + states.count("annotated")
    total = sum(state != "nothing" for state in states)
    with stop_between_frames() as stop_asked, FrameProgress(total) as progress:
        if there and there < total:
            progress.say(f"{total - there} of {total} frames are to be done")
        following = session.propagate(way)
        for answer in following:
            done += answer.final
            progress.update(min(there + done, total), segmented=True)
            if stop_asked():
                following.close()
                raise KeyboardInterrupt(
                    f"{done} frames are done and kept in {out}; give the same command again to go"
                    " on from there"
                )
    video = session.finished(way)
    if not video.only:
        raise InputError("no mask reaches any of these frames: see --direction, --start and --end")
    made = make(save, video, out)
    noted = [way.direction, way.start, way.end, way.step]
    if not done and not made and read_json(out / "segment.json").get("way") == noted:
        print(f"{out} is finished: nothing to do (--overwrite starts again)")
        return
    seconds = time.monotonic() - begun
    about = {"frames": len(video.only), "seconds": round(seconds, 1), "way": noted}
    write_json(out / "segment.json", {**notes, **about})
    peak, whose = process_peak()
    print(
        f"{done} frames in {seconds:.0f} s, at most {peak / 2**20:.0f} MiB {whose}: {out / 'masks'}"
    )
