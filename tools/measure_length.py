"""Peak host memory of `stm-jax segment` over the length of the video.

    python tools/measure_length.py --lengths 50 500 2000

Makes videos of noise of each length, segments each in a process of its own, and prints the peak of
its resident memory and the seconds it took.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import tyro

from stm_jax.data.masks import write_mask
from stm_jax.data.video_files import VideoWriter

HEIGHT, WIDTH = 240, 426
COMMAND = "import sys; from stm_jax.cli import main; sys.exit(main())"


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    lengths: tuple[int, ...] = (50, 500, 2000)
    """Frames of each video."""
    size: int = 64
    """Short side that is worked at; frames are 426x240 whatever it is."""
    weights: str = "stm-r18"
    """Bundled name, .safetensors file or run folder."""


def main(options: Options) -> None:
    """Prints one line for each length."""
    rng = np.random.default_rng(0)
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
            peak = peak_memory(
                [
                    *("segment", str(video), "--mask", str(folder / "first.png")),
                    *("--out", str(folder / f"out{length}"), "--size", str(options.size)),
                    *("--weights", options.weights),
                ]
            )
            seconds = time.perf_counter() - begun
            print(f"{length} frames: peak {peak / 2**20:.0f} MiB, {seconds:.0f} s", flush=True)


def peak_memory(arguments: list[str]) -> int:
    """Runs the command line and returns its largest resident memory in bytes (Unix only)."""
    process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"stm-jax {' '.join(arguments)} failed")
    return usage.ru_maxrss * 1024


if __name__ == "__main__":
    main(tyro.cli(Options))
