"""The folder `stm-jax segment` writes to, and how a stopped run goes on in it.

    DIR/masks/NAME.png        the mask of every frame, written as it comes
    DIR/overlay.mp4           frames with masks drawn over, there when the run ends or stops
    DIR/segment.json          there when the run is finished: settings, versions, frames, seconds
    DIR/.resume/run.json      while it is not: the settings of the run
    DIR/.resume/state.npz     and the segmenter's state after a number of frames

Masks of frames after the saved state are done again, and come out the same.
"""

import pathlib
import shutil
import zipfile
from typing import Any

import numpy as np

from stm_jax.errors import InputError
from stm_jax.files import write_json, writing_whole
from stm_jax.runtime.results import ResultsFolder, make_folder

FRAMES, SECONDS = "done.frames", "done.seconds"


class SegmentFolder(ResultsFolder):
    """One --out folder of `stm-jax segment`; see `ResultsFolder`."""

    def __init__(self, path: pathlib.Path, settings: dict[str, Any]) -> None:
        super().__init__(
            path,
            settings,
            noted=("segment.json", ".resume/run.json"),
            folders=("masks",),
            written=("masks/*.png", "masks/.*.png.tmp", "overlay.mp4", "segment.json", ".resume"),
        )
        self.overlay = path / "overlay.mp4"
        self._finished, self._run = self._noted
        self._state = path / ".resume" / "state.npz"

    def mask(self, name: str) -> pathlib.Path:
        return self.masks / f"{name}.png"

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready; see `ResultsFolder.begin`.

        Raises:
            InputError: Also if it holds masks of unknown origin, and `overwrite` is not given.
        """
        strangers = self.overlay.exists() or any(self.masks.glob("*.png"))
        if strangers and not overwrite and not self.is_begun():
            raise InputError(
                f"{self.path} holds masks or an overlay that `stm-jax segment` did not begin:"
                " give another --out, or --overwrite to replace them"
            )
        super().begin(overwrite)
        if not self.is_begun():
            make_folder(self._run.parent)
            write_json(self._run, {"settings": self.settings})

    def is_finished(self) -> bool:
        return self._finished.exists()

    def finish(self, summary: dict[str, Any]) -> None:
        """Leaves the finished marker and removes what was needed to go on."""
        write_json(self._finished, {"settings": self.settings} | summary)
        shutil.rmtree(self._run.parent)

    def save_state(self, arrays: dict[str, np.ndarray], frames: int, seconds: float) -> None:
        """Saves the segmenter's state after `frames` frames, whose masks are written already."""
        with writing_whole(self._state) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays, **{FRAMES: frames, SECONDS: seconds})

    def load_state(self) -> tuple[dict[str, np.ndarray], int, float]:
        """Returns the saved state, its number of frames and seconds; ({}, 0, 0) if there is none.

        A state that cannot be read counts as none: the run starts anew.
        """
        try:
            with np.load(self._state, allow_pickle=False) as saved:
                arrays = dict(saved)
            return arrays, int(arrays.pop(FRAMES)), float(arrays.pop(SECONDS))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return {}, 0, 0.0
