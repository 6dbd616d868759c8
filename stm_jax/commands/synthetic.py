"""`stm-jax synthetic`: a long-term benchmark that is drawn, with exact truth."""

import dataclasses
import pathlib
import time

from stm_jax.checks import within
from stm_jax.commands.shared.options import ResultOptions
from stm_jax.data.sources import Photographs
from stm_jax.processes import cores
from stm_jax.runtime.outputs import check_outputs
from stm_jax.runtime.progress import FrameProgress
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.synthetic.folder import SyntheticFolder, write_set
from stm_jax.synthetic.video import synthetic_video

MOST_VIDEOS, MOST_SEED = 10_000, 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """Draw videos with exact truth to measure memories on: objects leave and return, look alike.

    Writes DIR/JPEGImages, Annotations and ImageSets as DAVIS 2017 has them: measure on it by
    `stm-jax benchmark-dataset DIR --protocol davis2017`. The same seed gives the same files. The
    same command again goes on where it was stopped, and with more --videos adds those only.
    """

    results: ResultOptions
    videos: int = 10
    """How many."""
    seed: int = 0
    """Another one gives other videos."""
    workers: int | None = None
    """Processes that draw, a video each; as many as there are cores if it is not given."""
    photographs: pathlib.Path | None = None
    """Cut the things out of the photographs with masks in this folder, instead of drawing them."""
    config: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)

    def run(self) -> None:
        """Runs the command.

        Raises:
            InputError: A knob is out of its range, objects do not fit, a photograph cannot be
                used, or the folder holds something else.
            KeyboardInterrupt: Stopped by Ctrl-C or SIGTERM; videos that are whole are kept.
            OSError: A file cannot be written.
        """
        within("--videos", self.videos, 1, MOST_VIDEOS)
        within("--seed", self.seed, 0, MOST_SEED)
        workers = cores() if self.workers is None else self.workers
        within("--workers", workers, 1, 1024)
        self.config.check()
        out, frames = self.results.out, self.videos * self.config.frames
        source = self.photographs and Photographs(self.photographs)
        check_outputs([self.photographs] if self.photographs else [], folder=out)
        photographs = source.photographs() if source else ()
        synthetic_video(self.config, self.seed, 0, photographs)  # says if they do not fit
        folder = SyntheticFolder(out, self.config, self.seed, photographs)
        with folder.claimed(), FrameProgress(frames) as progress:
            folder.begin(self.results.overwrite)
            begun = time.monotonic()
            written = write_set(
                folder, self.videos, workers, lambda done: progress.update(done, False, "drawn: ")
            )
            seconds = time.monotonic() - begun
        print(f"{self.videos} videos of {self.config.frames} frames: {out}")
        if written:
            print(
                f"{written} frames of {self.config.width}x{self.config.height} drawn and written in"
                f" {seconds:.1f} s by {min(workers, self.videos)} processes:"
                f" {written / seconds:.1f} frames/s"
            )
        print(f"measure: stm-jax benchmark-dataset {out} --protocol davis2017 --out RESULTS")
