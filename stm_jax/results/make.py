"""Makes of a segmented video what was asked for: each file whole, and again if masks change.

DIR/overlay.mp4, DIR/prores4444.mov, DIR/vp9-alpha.webm, DIR/coco.json
DIR/rgba, DIR/alpha, DIR/alpha16, DIR/davis     folders
DIR/results.json                                what each was made of
"""

import hashlib
import pathlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Literal

import numpy as np

from stm_jax.files import flush, hash_of_file, write_json
from stm_jax.json_files import read_json
from stm_jax.report.overlay import overlay
from stm_jax.results import davis
from stm_jax.results.alpha import matte, quantised, write_cut_out, write_matte
from stm_jax.results.alpha_video import PRORES, VP9
from stm_jax.results.coco import write_coco
from stm_jax.results.finished import SegmentedFrame, SegmentedVideo
from stm_jax.results.video_writer import H264, Codec, VideoWriter
from stm_jax.runtime.claim import make_folder, remove_written
from stm_jax.runtime.progress import FrameProgress

Made = Literal["overlay", "rgba", "alpha", "alpha16", "prores4444", "vp9-alpha", "coco", "davis"]
"""What is made of the masks, once they are there."""
Kind = Literal["palette", "npz", Made]
"""What may be asked for: masks and probabilities are written frame by frame already."""
SOFT: frozenset[Kind] = frozenset({"npz", "rgba", "alpha", "alpha16", "prores4444", "vp9-alpha"})
"""What needs the probabilities of every frame."""

NOTES = "results.json"
PLACES: Mapping[Made, str] = {
    "overlay": "overlay.mp4",
    "rgba": "rgba",
    "alpha": "alpha",
    "alpha16": "alpha16",
    "prores4444": "prores4444.mov",
    "vp9-alpha": "vp9-alpha.webm",
    "coco": "coco.json",
    "davis": "davis",
}
WRITTEN: Mapping[Made, tuple[str, ...]] = {
    **{kind: (PLACES[kind],) for kind in ("overlay", "prores4444", "vp9-alpha", "coco")},
    **{kind: (f"{PLACES[kind]}/*.png", PLACES[kind]) for kind in ("rgba", "alpha", "alpha16")},
    "davis": (*(f"davis/{pattern}" for pattern in davis.WRITTEN), "davis"),
}
"""Patterns of what is written, folders after what is in them."""

Frames = Iterable[SegmentedFrame]


def make(
    kinds: Collection[Kind],
    video: SegmentedVideo,
    folder: pathlib.Path,
    done: Callable[[], None] = lambda: None,
) -> list[Made]:
    """Makes what is missing, damaged, or of other masks than those that are there now.

    Soft kinds are made again if probabilities have changed, too. Of what is not asked for but is of
    other masks, a line says so.

    Args:
        kinds: What is asked for.
        video: Segmented already.
        folder: Claimed for this process.
        done: Called after each frame of each kind. What it raises ends this, and leaves nothing of
            the kind that was being made.

    Returns:
        What was made.

    Raises:
        InputError: A frame, a mask or its probabilities cannot be read.
        OSError: A file cannot be written.
    """
    made: list[Made] = []
    masks = _hash_of_all(video.mask_files(), hash_of_file)
    soft = _hash_of_all(video.soft_files() if SOFT & set(kinds) else (), hash_of_file)
    for kind, name in PLACES.items():
        place, notes = folder / name, read_json(folder / NOTES)
        before = notes.get(kind)
        if kind not in kinds:
            if place.exists() and isinstance(before, dict) and before.get("masks") != masks:
                print(f"{place} is of other masks: --save {kind} makes it again", file=sys.stderr)
            continue
        source = {"masks": masks} | ({"probabilities": soft} if kind in SOFT else {})
        if before == source | {"made": _state_of(place)}:
            continue
        remove_written(folder, WRITTEN[kind])
        with FrameProgress(len(video.mask_files())) as progress:
            try:
                said = _write(kind, video, _telling(video, progress, kind, done), place)
            except BaseException:
                remove_written(folder, WRITTEN[kind])
                raise
            if said:
                progress.say(said)
        write_json(folder / NOTES, notes | {kind: source | {"made": _state_of(place)}})
        made.append(kind)
    return made


def write_video(
    path: pathlib.Path,
    codec: Codec,
    video: SegmentedVideo,
    frames: Frames,
    picture: Callable[[SegmentedFrame], np.ndarray],
) -> str:
    """Writes a video with the times and the sound of another; returns what is to say of its sound.

    Args:
        path: The file.
        codec: Decides what channels the pictures have.
        video: Whose rate and sound it gets.
        frames: Of it.
        picture: Makes of a frame what is shown.
    """
    sound = video.sound()
    size = video.frames.height, video.frames.width
    with VideoWriter(path, *size, video.rate, sound=sound, codec=codec, whole=True) as writer:
        for frame in frames:
            writer.write(picture(frame), frame.time)
    return sound.note if sound else ""


def _write(kind: Made, video: SegmentedVideo, frames: Frames, place: pathlib.Path) -> str:
    """Writes one kind; returns a line to say, or nothing."""
    match kind:
        case "overlay":
            return write_video(place, H264, video, frames, lambda f: overlay(f.rgb, f.ids))
        case "prores4444":
            return write_video(place, PRORES, video, frames, _with_alpha)
        case "vp9-alpha":
            return write_video(place, VP9, video, frames, _with_alpha)
        case "coco":
            write_coco(place, frames, video.name)
        case "davis":
            davis.write_davis(place, frames, video.name)
        case "rgba" | "alpha" | "alpha16":
            make_folder(place)
            for frame in frames:
                path, alpha = place / f"{frame.name}.png", matte(frame.ids, frame.soft)
                if kind == "rgba":
                    write_cut_out(path, frame.rgb, alpha)
                else:
                    write_matte(path, alpha, 16 if kind == "alpha16" else 8)
    flush(_files(place))
    return ""


def _with_alpha(frame: SegmentedFrame) -> np.ndarray:
    # The colours around the object stay, for those at its edge are subsampled with them.
    return np.dstack([frame.rgb, quantised(matte(frame.ids, frame.soft), 8)])


def _telling(
    frames: Frames, progress: FrameProgress, kind: Made, done: Callable[[], None]
) -> Iterator[SegmentedFrame]:
    for number, frame in enumerate(frames, 1):
        yield frame
        progress.update(number, False, f"{kind}: ")
        done()


def _state_of(place: pathlib.Path) -> str | None:
    """Returns what tells a file or folder from a damaged one; None if it is not there."""
    if place.is_dir():
        return _hash_of_all(_files(place), lambda file: str(file.stat().st_size))
    return hash_of_file(place) if place.is_file() else None


def _files(place: pathlib.Path) -> list[pathlib.Path]:
    return [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())


def _hash_of_all(files: Iterable[pathlib.Path], of: Callable[[pathlib.Path], str]) -> str:
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.name} {of(file)}\n".encode())
    return content.hexdigest()
