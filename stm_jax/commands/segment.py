"""`stm-jax segment`: follow objects through a video, from the mask of its first frame."""

import contextlib
import dataclasses
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.commands.shared.annotation_options import AnnotationOptions
from stm_jax.commands.shared.options import ModelOptions, ResultOptions, VideoOptions
from stm_jax.commands.shared.segment_folder import WRITTEN, SegmentFolder
from stm_jax.commands.shared.segment_session import follow, give, is_session, start_again, written
from stm_jax.data.frame_reader import FrameReader
from stm_jax.data.truth_masks import read_truth
from stm_jax.data.video_files import Frames, ImageFolder, VideoFile, open_frames
from stm_jax.errors import InputError
from stm_jax.files import hash_of_file
from stm_jax.report.overlay import overlay
from stm_jax.results.finished import FOLDER_RATE, SegmentedVideo
from stm_jax.results.make import SOFT, Kind, make
from stm_jax.results.sound import Sound
from stm_jax.results.video_writer import VideoWriter
from stm_jax.runtime.beside import ahead, behind
from stm_jax.runtime.outputs import check_outputs, weights_read
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.stopping import stop_between_frames
from stm_jax.runtime.used_memory import explain_out_of_memory
from stm_jax.version import __version__, versions

if TYPE_CHECKING:
    from stm_jax.infer.segmenter import Segmenter


@dataclasses.dataclass(frozen=True)
class Segment:
    """Follow objects through a video, from the mask of its first frame or of any frames.

    Writes DIR/masks/*.png, one palette PNG a frame, and what --save names. A run that was stopped
    (Ctrl-C, a crash, a full disk) goes on where it was when the same command is given again. With
    a mask more, or another, only what that changes is done again.
    """

    video: VideoOptions
    results: ResultOptions
    model: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    annotations: AnnotationOptions = dataclasses.field(default_factory=AnnotationOptions)
    save: tuple[Kind, ...] = ("palette", "overlay")
    """Results, any of these; palette masks are always there. overlay: a video to look at. rgba:
    cut-out PNGs. alpha, alpha16: grey mattes of 8 and 16 bits. prores4444, vp9-alpha: videos with
    an alpha channel, the times and the sound. coco: JSON of YouTube-VIS. davis: a data set. npz:
    probabilities."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: an input cannot be used; masks of frames before it are kept.
          KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, after saving where it was.
          OSError: a result cannot be written, for example because the disk is full.
        """
        self.model.check()
        is_stream = self.video.first_mask is not None and self.annotations.are_default
        if not is_stream or is_session(self.results.out):
            self._run_session()
            return
        frames, mask_by_hand = self.video.open()
        first_mask = mask_by_hand.ids
        said = sys.stderr if mask_by_hand.looks_inverted else sys.stdout
        out, video, mask = self.results.out, self.video.path, self.video.first_mask
        assert mask is not None
        print(f"{mask.name}: {mask_by_hand.described()}", file=said)
        self.model.say_if_small_or_large(frames.height, frames.width)
        inputs = [video, mask, *weights_read(self.model.weights)]
        check_outputs(inputs, folder=out, names=WRITTEN)
        model = self.model.load()
        is_folder = isinstance(frames, ImageFolder)
        folder = SegmentFolder(
            out,
            {
                "video": str(video.resolve()),
                "names or content of the video": (
                    hashlib.sha256(repr([file.name for file in frames.files]).encode()).hexdigest()
                    if is_folder
                    else hash_of_file(video)
                ),
                "mask": hash_of_file(mask),
                **model.settings(),
                "version": __version__,
            },
            [hash_of_file(file) for file in frames.files] if is_folder else [],
            soft=not SOFT.isdisjoint(self.save),
            draws="overlay" in self.save,
        )
        with folder.claimed():
            folder.begin(self.results.overwrite)
            if folder.is_finished(frames.name_of):
                print(f"{out} is finished: nothing to do (--overwrite starts again)")
            else:
                with explain_out_of_memory():
                    count, seconds = _segment(frames, first_mask, model.segmenter(), folder)
                folder.finish(
                    {
                        "weights given": self.model.weights,
                        "frames": count,
                        "seconds": round(seconds, 1),
                        "versions": versions(),
                    }
                )
                print(f"{count} frames in {seconds:.0f} s: {folder.masks}")
            make(
                set(self.save) - {"overlay"},  # which is drawn as frames come
                SegmentedVideo(frames, folder.masks, folder.probabilities, video.resolve().stem),
                out,
            )

    def _run_session(self) -> None:
        """Runs with masks of any frames; see `run`."""
        reader = FrameReader(open_frames(self.video.path))
        given = self.annotations.given(self.video, reader)
        self.model.say_if_small_or_large(reader.frames.height, reader.frames.width)
        out, video = self.results.out, self.video.path
        inputs = [video, *self.annotations.files(self.video), *weights_read(self.model.weights)]
        check_outputs(inputs, folder=out, names=written())
        model = self.model.load()
        start_again(out, everything=self.results.overwrite)
        soft = not SOFT.isdisjoint(self.save)
        with explain_out_of_memory(), model.annotator(video, out, keep_soft=soft) as session:
            give(session, given)
            notes = {"weights given": self.model.weights, "versions": versions()}
            notes |= {"settings": model.settings()}
            follow(session, self.annotations.way(), self.save, out, notes)


def _segment(
    frames: Frames,
    first_mask: UInt8[np.ndarray, "height width"],
    segmenter: "Segmenter",
    folder: SegmentFolder,
) -> tuple[int, float]:
    """Segments what is not done yet; returns the number of frames and the seconds it all took."""
    arrays, done, seconds = folder.load_state(frames.name_of)
    if arrays:
        segmenter.restore(arrays)
    has_state = bool(arrays)
    del arrays
    soft: dict[str, Any] = {"soft": True} if folder.soft else {}
    resumed = done
    start = time.monotonic() - seconds
    next_save = time.monotonic() + _pause_after(0)

    def save() -> None:
        if has_state or done > resumed:  # else only an overlay is drawn again
            folder.save_state(segmenter.state_arrays(), done, time.monotonic() - start)

    with (
        stop_between_frames() as stop_asked,
        FrameProgress(frames.count) as progress,
        _overlay_of(frames, folder) as draw,
        contextlib.closing(ahead(frames.timed())) as coming,
    ):
        if resumed:
            progress.say(f"going on after {resumed} frames that are done; redrawing the overlay")
        try:
            for index, (frame, shown_at) in enumerate(coming):
                name = frames.name_of(index)
                if index < resumed:
                    ids = read_truth(folder.mask(name))
                else:
                    if index == resumed:
                        progress.say(_compiling(frames, first_mask))
                    if index == 0:
                        answer = segmenter.start(frame, first_mask, length=frames.count, **soft)
                    else:
                        answer = segmenter.step(frame, **soft)
                    ids = folder.write(name, answer, segmenter.object_ids)
                    done = index + 1
                draw(frame, ids, shown_at)
                progress.update(index + 1, segmented=index >= resumed)
                if stop_asked():
                    save()
                    raise KeyboardInterrupt(
                        f"{done} frames are done and kept in {folder.path}; give the same"
                        " command again to go on from there"
                    )
                now = time.monotonic()
                if now >= next_save and index >= resumed:
                    save()
                    next_save = time.monotonic() + _pause_after(time.monotonic() - now)
        except InputError as error:
            if done == 0:
                raise
            save()
            raise InputError(f"{error}; the masks of {done} frames are kept") from error
    return done, time.monotonic() - start


@contextlib.contextmanager
def _overlay_of(frames: Frames, folder: SegmentFolder) -> Iterator[Callable[..., None]]:
    """Yields what draws one frame after the other, or does not if that is not asked for."""
    if not folder.draws:
        yield lambda frame, ids, shown_at: None
        return
    sound = Sound(frames.path) if isinstance(frames, VideoFile) else None
    size, rate = (frames.height, frames.width), frames.rate or FOLDER_RATE
    with (
        VideoWriter(folder.overlay, *size, rate, sound=sound) as video,
        behind(video.write) as write,
    ):

        def draw(
            frame: UInt8[np.ndarray, "height width 3"],
            ids: UInt8[np.ndarray, "height width"],
            shown_at: Fraction | None,
        ) -> None:
            write(overlay(frame, ids), shown_at)

        with behind(draw) as draw_later:
            yield draw_later
    if sound and sound.note:
        print(sound.note, file=sys.stderr)


def _pause_after(save_seconds: float) -> float:
    """Returns how long to work until the next save: a large memory takes long to save."""
    return max(20.0, 20 * save_seconds)


def _compiling(frames: Frames, first_mask: UInt8[np.ndarray, "height width"]) -> str:
    objects = len(np.unique(first_mask[first_mask > 0]))
    return (
        f"compiling for {frames.width}x{frames.height}, {objects} object{'s' * (objects > 1)} ..."
        " (kept for the next run)"
    )
