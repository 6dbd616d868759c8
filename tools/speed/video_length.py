"""Peak host memory of `stm-jax segment` over the length of the video.

    python tools/speed/video_length.py --lengths 50 500 2000

Makes videos of noise of each length, segments each in a process of its own, and prints the peak of
its resident memory and the seconds it took.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import pathlib
import tempfile
import time

import numpy as np
import tyro

from stm_jax.commands.segment import Segment
from stm_jax.commands.shared.options import ModelOptions, ResultOptions, VideoOptions
from stm_jax.data.masks import write_mask
from stm_jax.results.video_writer import VideoWriter
from stm_jax.runtime.freed_memory import keep_freed_memory
from stm_jax.runtime.used_memory import resident_peak

HEIGHT, WIDTH = 240, 426


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    lengths: tuple[int, ...] = (50, 500, 2000)
    """Frames of each video."""
    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(
        default_factory=lambda: ModelOptions(size=64)
    )
    """Frames are 426x240 whatever size is worked at."""


def main(options: Options) -> None:
    """Prints one line for each length."""
    rng, fresh = np.random.default_rng(0), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[80:160, 150:250] = 1
        write_mask(folder / "first.png", mask)
        background = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        for length in options.lengths:
            video = folder / f"{length}.mp4"
            with VideoWriter(video, HEIGHT, WIDTH, 24) as writer:
                for t in range(length):
                    writer.write(np.roll(background, t, axis=1))
            begun = time.perf_counter()
            out = ResultOptions(folder / f"out{length}")
            segment = Segment(VideoOptions(video, (str(folder / "first.png"),)), out, options.model)
            with concurrent.futures.ProcessPoolExecutor(1, fresh) as process:
                peak = process.submit(peak_memory, segment).result()
            seconds = time.perf_counter() - begun
            print(f"{length} frames: peak {peak / 2**20:.0f} MiB, {seconds:.0f} s", flush=True)


def peak_memory(segment: Segment) -> int:
    """Runs the command and returns the largest resident memory of this process in bytes."""
    keep_freed_memory()
    segment.run()
    return resident_peak()


if __name__ == "__main__":
    main(tyro.cli(Options))
