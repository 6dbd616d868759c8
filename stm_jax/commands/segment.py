"""`stm-jax segment`: follow objects through a video, from the mask of its first frame."""

import dataclasses
import hashlib
import pathlib
import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tyro
from jaxtyping import UInt8

from stm_jax.data.masks import check_first_mask, read_mask, write_mask
from stm_jax.data.video_files import Frames, VideoWriter, open_frames
from stm_jax.errors import InputError
from stm_jax.report.overlay import overlay
from stm_jax.runtime.progress import FrameProgress
from stm_jax.runtime.results import ResultsFolder
from stm_jax.runtime.runs import (
    explain_out_of_memory,
    hash_of,
    stop_between_frames,
    versions,
)
from stm_jax.version import __version__

if TYPE_CHECKING:
    from stm_jax.infer.segmenter import Segmenter
    from stm_jax.memory.protocol import Memory
    from stm_jax.nn.model import Model
    from stm_jax.reads.protocol import Read

FOLDER_RATE = 24  # frames a second of the overlay of a folder of frames; DAVIS has 24


@dataclasses.dataclass(frozen=True)
class Segment:
    """Follow objects through a video, from the mask of its first frame.

    Writes DIR/masks/*.png, one palette PNG a frame, and DIR/overlay.mp4. A run that was stopped
    (Ctrl-C, a crash, a full disk) goes on where it was when the same command is given again.
    """

    video: tyro.conf.Positional[pathlib.Path]
    """A video file, or a folder of frames (.jpg .png .bmp .webp, in natural order)."""
    mask: pathlib.Path
    """The mask of the first frame: a palette PNG, or grey with 0/255 or small ids."""
    out: pathlib.Path
    """The folder to write to."""
    weights: str = "stm-r18"
    """A bundled model, a .safetensors file, or a checkpoint folder."""
    memorize_every: int = 5
    """Keep every n-th frame in memory."""
    memory: tuple[str, ...] = ()
    """What is kept instead: a rule or a store and its knobs, such as fifo frames=8. There is
    every-nth, previous, first, evenly-spread, fifo, annotated, recent, random-frame, reservoir,
    confident, least-used, ucb, diverse, xmem, afb-urr, swift-net, or FILE.py:CLASS of your own."""
    read: tuple[str, ...] = ()
    """How the memory is read: dense, slots, chunked, top-k, kernelized, regional, window, or
    FILE.py:NAME of your own, and its knobs, such as top-k k=30."""
    size: int | None = None
    """Work at this length of the shorter side, in pixels (masks keep the video's own size)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start again, and replace the results that are in the folder."""

    def run(self) -> None:
        """Runs the command.

        Raises:
          InputError: an input cannot be used; masks of frames before it are kept.
          KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, after saving where it was.
          OSError: a result cannot be written, for example because the disk is full.
        """
        self._check_options()
        frames = open_frames(self.video)
        first_mask = read_mask(self.mask)
        check_first_mask(first_mask, (frames.height, frames.width), self.mask)
        _check_inputs_are_safe(self.out, self.video, self.mask)

        import jax.numpy as jnp  # heavy, and not needed to say what is wrong above

        from stm_jax.catalogue import chosen
        from stm_jax.infer.segmenter import Segmenter
        from stm_jax.runtime.compile_cache import enable_compilation_cache
        from stm_jax.weights.files import load

        memory, read = chosen(self.memory, self.read, self.memorize_every)
        enable_compilation_cache()
        model = load(self.weights)
        results = ResultsFolder(self.out, self._settings(model, memory, read))
        results.begin(self.overwrite)
        if results.is_finished():
            print(f"{self.out} is finished: nothing to do (--overwrite starts again)")
            return
        segmenter = Segmenter(
            model,
            memory=memory,
            read=read,
            short_side=self.size,
            dtype=jnp.dtype(self.dtype),
        )
        with explain_out_of_memory():
            count, seconds = _segment(frames, first_mask, segmenter, results)
        results.finish(
            {
                "weights given": self.weights,
                "frames": count,
                "seconds": round(seconds, 1),
                "versions": versions(),
            }
        )
        print(f"{count} frames in {seconds:.0f} s: {results.masks} and {results.overlay}")

    def _check_options(self) -> None:
        if self.memorize_every < 1:
            raise InputError(f"--memorize-every is {self.memorize_every}: give 1 or more")
        if self.size is not None and self.size < 16:
            raise InputError(f"--size is {self.size}: give 16 pixels or more")

    def _settings(self, model: "Model", memory: "Memory", read: "Read | None") -> dict[str, Any]:
        """Returns everything that the masks depend on: a run goes on only if all is the same."""
        from stm_jax.catalogue import noted

        return {
            "video": str(self.video.resolve()),
            "video bytes": self.video.stat().st_size if self.video.is_file() else None,
            "mask": hashlib.sha256(self.mask.read_bytes()).hexdigest(),
            "weights": hash_of(model),
            "memory": noted(memory),
            "read": noted(read),
            "size": self.size,
            "dtype": self.dtype,
            "version": __version__,
        }


def _segment(
    frames: Frames,
    first_mask: UInt8[np.ndarray, "height width"],
    segmenter: "Segmenter",
    results: ResultsFolder,
) -> tuple[int, float]:
    """Segments what is not done yet; returns the number of frames and the seconds it all took."""
    arrays, done, seconds = results.load_state()
    if not all(results.mask(frames.name_of(index)).exists() for index in range(done)):
        done, seconds = 0, 0.0
    if done:
        segmenter.restore(arrays)
    del arrays
    resumed = done
    start = time.monotonic() - seconds
    next_save = time.monotonic() + _pause_after(0)

    def save() -> None:
        results.save_state(segmenter.state_arrays(), done, time.monotonic() - start)

    with (
        stop_between_frames() as stop_asked,
        FrameProgress(frames.count) as progress,
        VideoWriter(
            results.overlay, frames.height, frames.width, frames.rate or FOLDER_RATE
        ) as video,
    ):
        if resumed:
            progress.say(f"going on after {resumed} frames that are done; redrawing the overlay")
        try:
            for index, frame in enumerate(frames.read()):
                name = frames.name_of(index)
                if index < resumed:
                    ids = read_mask(results.mask(name))
                else:
                    if index == resumed:
                        progress.say(_compiling(frames, first_mask))
                    if index == 0:
                        ids = segmenter.start(frame, first_mask, length=frames.count)
                    else:
                        ids = segmenter.step(frame)
                    write_mask(results.mask(name), ids)
                    done = index + 1
                video.write(overlay(frame, ids))
                progress.update(index + 1, segmented=index >= resumed)
                if stop_asked():
                    save()
                    raise KeyboardInterrupt(
                        f"{done} frames are done and kept in {results.path}; give the same"
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


def _pause_after(save_seconds: float) -> float:
    """Returns how long to work until the next save: a large memory takes long to save."""
    return max(20.0, 20 * save_seconds)


def _compiling(frames: Frames, first_mask: UInt8[np.ndarray, "height width"]) -> str:
    objects = len(np.unique(first_mask[first_mask > 0]))
    return (
        f"compiling for {frames.width}x{frames.height}, {objects} object{'s' * (objects > 1)} ..."
        " (kept for the next run)"
    )


def _check_inputs_are_safe(out: pathlib.Path, video: pathlib.Path, mask: pathlib.Path) -> None:
    """Raises InputError if the results would be written over the inputs."""
    written = {(out / "masks").resolve(), (out / "overlay.mp4").resolve()}
    for given in (video, mask):
        if not written.isdisjoint((given.resolve(), *given.resolve().parents)):
            raise InputError(f"{given} lies where results would be written: give another --out")
