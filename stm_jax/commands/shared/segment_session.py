"""`stm-jax segment` with masks of any frames: a session in the --out folder.

Between two runs nothing is lost: what was given before and is not given now is taken back, what is
new is added, and only what depends on either is done again.
"""

import fractions
import pathlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stm_jax.files import hash_of_file, write_json
from stm_jax.json_files import read_json
from stm_jax.report.overlay import overlay
from stm_jax.results.video_writer import VideoWriter
from stm_jax.runtime.claim import claimed, remove_written
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.stopping import stop_between_frames
from stm_jax.runtime.used_memory import process_peak

if TYPE_CHECKING:
    from stm_jax.annotate.annotations import Annotation
    from stm_jax.annotate.annotator import Annotator, Way

STREAM = ("overlay.mp4", "segment.json", ".resume/run.json", ".resume/state.npz", ".resume")
"""What there is of a run with one mask, beside masks."""


def is_session(out: pathlib.Path) -> bool:
    """Says whether the folder holds a session already."""
    return (out / "annotations.json").is_file()


def start_again(out: pathlib.Path, *, everything: bool) -> None:
    """Removes what a run with one mask has left besides masks, or everything of any run."""
    from stm_jax.annotate.session_folder import COMMAND, WRITTEN

    written = (*STREAM, *WRITTEN)
    with claimed(out, COMMAND, written):
        if everything:
            remove_written(out, written)
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


def follow(session: "Annotator", way: "Way", out: pathlib.Path, notes: Mapping[str, Any]) -> None:
    """Follows what is to be followed, and draws it.

    Raises:
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
        if not done and _is_drawn(out, way):
            print(f"{out} is finished: nothing to do (--overwrite starts again)")
            return
        shown = _draw(session, way, out / "overlay.mp4", progress)
    seconds = time.monotonic() - begun
    about = {"frames": shown, "seconds": round(seconds, 1), "way": _noted(way)}
    drawn = {"hash of overlay": hash_of_file(out / "overlay.mp4")}
    write_json(out / "segment.json", {**notes, **about, **drawn})
    peak, whose = process_peak()
    print(
        f"{done} frames in {seconds:.0f} s, at most {peak / 2**20:.0f} MiB {whose}: {out / 'masks'}"
        f" and {out / 'overlay.mp4'}"
    )


def _is_drawn(out: pathlib.Path, way: "Way") -> bool:
    noted, drawn = read_json(out / "segment.json"), out / "overlay.mp4"
    if noted.get("way") != _noted(way) or not drawn.is_file():
        return False
    return noted.get("hash of overlay") == hash_of_file(drawn)


def _noted(way: "Way") -> list[Any]:
    return [way.direction, way.start, way.end, way.step]


def _draw(session: "Annotator", way: "Way", path: pathlib.Path, progress: FrameProgress) -> int:
    """Draws the frames that were followed with their masks; returns how many."""
    from stm_jax.commands.segment import FOLDER_RATE

    frames, states, count = session.reader.frames, session.states(way), 0
    progress.say("drawing the overlay")
    rate = fractions.Fraction(frames.rate or FOLDER_RATE) / way.step
    with VideoWriter(path, frames.height, frames.width, rate) as video:
        for index, (frame, shown_at) in enumerate(frames.timed()):
            if states[index] == "nothing":
                continue
            ids = session.mask(index)
            video.write(frame if ids is None else overlay(frame, ids), shown_at)
            count += 1
    return count
