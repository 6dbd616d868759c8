"""The folder `stm-jax segment` writes to, and how a stopped run goes on in it.

    DIR/masks/NAME.png        the mask of every frame, written as it comes
    DIR/overlay.mp4           frames with masks drawn over, there when the run ends or stops
    DIR/segment.json          there when the run is finished: settings, versions, frames, seconds
    DIR/.resume/run.json      while it is not: the settings of the run
    DIR/.resume/state.npz     and the segmenter's state after a number of frames

Every file is written to a temporary name and renamed, so a run may be killed at any moment: masks
of frames after the saved state are done again, and come out the same.
"""

import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from stm_jax.errors import InputError
from stm_jax.files import write_whole

FRAMES, SECONDS = "done.frames", "done.seconds"


class ResultsFolder:
    """One --out folder and the settings of the run that fills it.

    Args:
      path: the folder; made if it is not there.
      settings: everything that the masks depend on, as JSON values. A run only goes on in a
        folder whose settings are the same.
    """

    def __init__(self, path: pathlib.Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.masks = path / "masks"
        self.overlay = path / "overlay.mp4"
        self._settings = settings
        self._finished = path / "segment.json"
        self._resume = path / ".resume"
        self._run = self._resume / "run.json"
        self._state = self._resume / "state.npz"

    def mask(self, name: str) -> pathlib.Path:
        return self.masks / f"{name}.png"

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready for this run.

        Raises:
          InputError: it holds results of a run with other settings, or masks of unknown origin,
            and `overwrite` is not given; or it cannot be made.
        """
        if overwrite:
            self._clear()
        for file in (self._finished, self._run):
            if file.exists():
                return check_same_settings(self.path, file, self._settings)
        if self.overlay.exists() or any(self.masks.glob("*.png")):
            raise InputError(
                f"{self.path} holds masks or an overlay that `stm-jax segment` did not begin:"
                " give another --out, or --overwrite to replace them"
            )
        try:
            self.masks.mkdir(parents=True, exist_ok=True)
            self._resume.mkdir(exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise InputError(
                f"{self.path} cannot be made a folder ({error.strerror}): give another --out"
            ) from error
        write_json(self._run, {"settings": self._settings})

    def is_finished(self) -> bool:
        return self._finished.exists()

    def finish(self, summary: dict[str, Any]) -> None:
        """Leaves the finished marker and removes what was needed to go on."""
        write_json(self._finished, {"settings": self._settings} | summary)
        shutil.rmtree(self._resume)

    def save_state(self, arrays: dict[str, np.ndarray], frames: int, seconds: float) -> None:
        """Saves the segmenter's state after `frames` frames, whose masks are written already."""
        temporary = self._state.with_name(".state.npz.tmp")
        try:
            with open(temporary, "wb") as file:
                np.savez(file, **arrays, **{FRAMES: frames, SECONDS: seconds})
            os.replace(temporary, self._state)
        finally:
            temporary.unlink(missing_ok=True)

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

    def _clear(self) -> None:
        for pattern in ("masks/*.png", "masks/.*.png.tmp", "overlay.mp4", "segment.json"):
            for file in self.path.glob(pattern):
                file.unlink()
        shutil.rmtree(self._resume, ignore_errors=True)


def check_same_settings(folder: pathlib.Path, file: pathlib.Path, settings: dict[str, Any]) -> None:
    """Raises InputError that names the settings that differ from those noted in a file.

    Args:
      folder: the --out folder that the file is in.
      file: JSON, with what it was begun with under `settings`.
      settings: of this run.
    """
    try:
        saved = json.loads(file.read_text())["settings"]
    except (ValueError, KeyError, TypeError):
        saved = {}
    names = [n for n in {**settings, **saved} if saved.get(n) != settings.get(n)]
    if names:
        raise InputError(
            f"{folder} holds the results of another run (another {', '.join(names)}):"
            " give another --out, or --overwrite to start again"
        )


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())
