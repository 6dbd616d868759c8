"""What `stm-jax segment` takes a frame besides the network: reading, masks, overlay, video.

    python tools/speed/host.py

The network is replaced by a stub that answers at once, with boxes that move. A video file and a
folder of JPEG pictures, each 854x480, masks and overlay; the median over the rounds with [least,
most] in milliseconds a frame: of the clock, and of all threads together.
"""

import contextlib
import dataclasses
import io
import pathlib
import tempfile
import time
from typing import Any
from unittest import mock

import numpy as np
import tyro
from PIL import Image

from stm_jax.commands.segment import Segment
from stm_jax.commands.shared.demo_clip import CLIP
from stm_jax.commands.shared.options import LoadedModel, ResultOptions, VideoOptions
from stm_jax.data.masks import write_mask
from stm_jax.data.video_files import open_frames
from stm_jax.results.video_writer import VideoWriter
from tools.speed.turns import spread

SIZE = (854, 480)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is timed."""

    rounds: int = 5


class Stub:
    """Answers as a `Segmenter` does, at once."""

    object_ids = (1, 2)

    def __init__(self) -> None:
        rows, columns = np.ogrid[: SIZE[1], : SIZE[0]]
        self._number, self._answers = 0, []
        for number in range(16):
            ids = ((rows - 200) ** 2 + (columns - 150 - 20 * number) ** 2 < 9000).astype(np.uint8)
            ids[(rows - 350) ** 2 + (columns - 600) ** 2 < 4000] = 2
            self._answers.append(ids)

    def start(self, frame: np.ndarray, mask: np.ndarray, **_: Any) -> np.ndarray:
        """Returns the mask."""
        return mask

    def step(self, frame: np.ndarray, **_: Any) -> np.ndarray:
        """Returns two round objects, one of them a little further on."""
        self._number += 1
        return self._answers[self._number % len(self._answers)]

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Returns nothing to save."""
        return {}


def main(options: Options) -> None:
    """Prints the table."""
    clip = [np.array(Image.fromarray(each).resize(SIZE)) for each in open_frames(CLIP).read()]
    frames = (clip + clip[::-1]) * 3  # so long that beginning and end count for little
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "pictures").mkdir()
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"pictures/{number:05}.jpg", quality=90)
        with VideoWriter(folder / "video.mp4", SIZE[1], SIZE[0], 24) as video:
            for frame in frames:
                video.write(frame)
        write_mask(folder / "mask.png", Stub().step(frames[0]))
        print("| frames | a frame, ms | CPU, ms |")
        print("| --- | --- | --- |")
        for kind in ("video.mp4", "pictures"):
            laps = np.array([times_of(folder, kind, len(frames)) for _ in range(options.rounds)])
            clock, cpu = laps.T
            print(f"| {kind} | {spread(clock, '.1f')} | {spread(cpu, '.1f')} |", flush=True)


def times_of(folder: pathlib.Path, kind: str, count: int) -> tuple[float, float]:
    """Returns milliseconds a frame: of the clock, and of the threads."""
    with (
        tempfile.TemporaryDirectory() as out,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        mock.patch.object(LoadedModel, "segmenter", lambda self: Stub()),
    ):
        video = VideoOptions(folder / kind, (str(folder / "mask.png"),))
        command = Segment(video, ResultOptions(pathlib.Path(out) / "result"))
        begun, used = time.perf_counter(), time.process_time()
        command.run()
        seconds = time.perf_counter() - begun, time.process_time() - used
    return 1e3 * seconds[0] / count, 1e3 * seconds[1] / count


if __name__ == "__main__":
    main(tyro.cli(Options))
