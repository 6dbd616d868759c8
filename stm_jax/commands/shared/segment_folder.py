"""The folder `stm-jax segment` writes to, and how a stopped run goes on in it.

    DIR/masks/NAME.png        the mask of every frame, written as it comes
    DIR/probabilities/NAME.npz the same before one object was chosen, if a result needs them
    DIR/overlay.mp4           frames with masks drawn over, there when the run ends or stops
    DIR/results.json          and further results: see `stm_jax.results.make`
    DIR/segment.json          there when the run is finished: settings, versions, frames, seconds
    DIR/.resume/run.json      while it is not: the settings of the run
    DIR/.resume/state.npz     and the segmenter's state after a number of frames

Masks of frames after the saved state are done again, and come out the same. Masks are flushed to
the disk, all at once, before the state is saved that counts them as done.
"""

import pathlib
import sys
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.masks import read_mask, write_mask
from stm_jax.errors import InputError
from stm_jax.files import (
    DAMAGED_ARCHIVE,
    UNFINISHED,
    flush,
    hash_of_file,
    is_whole_png,
    write_json,
    writing_whole,
)
from stm_jax.json_files import read_json
from stm_jax.results.make import NOTES
from stm_jax.results.make import WRITTEN as MADE
from stm_jax.results.probabilities import PROBABILITIES, ids_of, write_probabilities
from stm_jax.runtime.claim import make_folder, remove_written
from stm_jax.runtime.results import ResultsFolder

FRAMES, SECONDS = "done.frames", "done.seconds"
RESUME = (".resume/run.json", ".resume/state.npz", f".resume/{UNFINISHED}", ".resume")
RESULTS = (
    *(pattern for patterns in MADE.values() for pattern in patterns),
    *(f"{PROBABILITIES}/*.npz", PROBABILITIES, NOTES),
)
WRITTEN = ("masks/*.png", "masks", "segment.json", *RESUME, *RESULTS)
"""Patterns of all that is written, folders after what is in them."""
NOTED, OVERLAY = "hashes of frames", "hash of overlay"

Names = Callable[[int], str]
"""The name of a frame's mask, without .png."""


class SegmentFolder(ResultsFolder):
    """One --out folder of `stm-jax segment`; see `ResultsFolder`.

    Args:
        path: As there.
        settings: As there.
        hashes: Of the frames, where each has a file of its own: frames that are not done yet may
            change from one run to the next, others not.
        soft: Whether probabilities are kept beside each mask.
        draws: Whether the overlay is one of the results.
    """

    def __init__(
        self,
        path: pathlib.Path,
        settings: dict[str, Any],
        hashes: Sequence[str] = (),
        *,
        soft: bool = False,
        draws: bool = True,
    ) -> None:
        super().__init__(
            path,
            settings,
            command="segment",
            noted=("segment.json", ".resume/run.json"),
            folders=("masks",),
            written=WRITTEN,
        )
        self.soft, self.draws = soft, draws
        self.probabilities = path / PROBABILITIES
        self.overlay = path / "overlay.mp4"
        self._finished, self._run = self._noted
        self._state = path / ".resume" / "state.npz"
        self._hashes = list(hashes)
        self._not_flushed: list[pathlib.Path] = []

    def mask(self, name: str) -> pathlib.Path:
        return self.masks / f"{name}.png"

    def soft_mask(self, name: str) -> pathlib.Path:
        return self.probabilities / f"{name}.npz"

    def write(
        self, name: str, answer: np.ndarray, object_ids: Sequence[int]
    ) -> UInt8[np.ndarray, "height width"]:
        """Writes what a segmenter answers for one frame, ids or probabilities; returns the ids."""
        if not self.soft:
            self.write_mask(name, answer)
            return answer
        make_folder(self.probabilities)
        given = np.array(object_ids, np.uint8)
        write_probabilities(self.soft_mask(name), answer, given, durable=False)
        self._not_flushed.append(self.soft_mask(name))
        self.write_mask(name, ids_of(answer, given))
        return ids_of(answer, given)

    def write_mask(self, name: str, ids: UInt8[np.ndarray, "height width"]) -> None:
        """Writes the mask of one frame."""
        write_mask(self.mask(name), ids, durable=False)
        self._not_flushed.append(self.mask(name))

    def begin(self, overwrite: bool) -> None:
        """Makes the folder ready; see `ResultsFolder.begin`.

        Raises:
            InputError: Also if it holds masks of unknown origin, and `overwrite` is not given; or
                a frame that is done has changed since.
        """
        strangers = self.overlay.exists() or any(self.masks.glob("*.png"))
        if strangers and not overwrite and not any(file.exists() for file in self._noted):
            raise InputError(
                f"{self.path} holds masks or an overlay that `stm-jax segment` did not begin:"
                " give another --out, or --overwrite to replace them"
            )
        super().begin(overwrite)
        self._check_same_frames()
        if not self._finished.exists():
            self._note_run()

    def is_finished(self, name_of: Names) -> bool:
        """Says whether all is done, having looked; a mask that is not whole is told of."""
        done = read_json(self._finished)
        if not done:
            return False
        if not self._are_whole(name_of, done["frames"], is_whole_png):
            self._note_run()
            self._finished.unlink()
            return False
        if not self.draws:
            return True
        if not self.overlay.is_file() or hash_of_file(self.overlay) != done.get(OVERLAY):
            print(f"{self.overlay} is missing or damaged: drawing it again", file=sys.stderr)
            return False
        return True

    def finish(self, summary: dict[str, Any]) -> None:
        """Leaves the finished marker and removes what was needed to go on."""
        self._flush()
        noted: dict[str, Any] = {NOTED: self._hashes}
        if self.draws:
            noted |= {OVERLAY: hash_of_file(self.overlay)}
        write_json(self._finished, {"settings": self.settings} | noted | summary)
        remove_written(self.path, RESUME)

    def save_state(self, arrays: dict[str, np.ndarray], frames: int, seconds: float) -> None:
        """Saves the segmenter's state after `frames` frames, whose masks are written already."""
        self._flush()
        with writing_whole(self._state) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays, **{FRAMES: frames, SECONDS: seconds})

    def load_state(self, name_of: Names) -> tuple[dict[str, np.ndarray], int, float]:
        """Returns the saved state, its number of frames and seconds; ({}, 0, 0) if there is none.

        A state that cannot be read, or whose masks cannot, counts as none: the run starts anew. Of
        a finished run, whose overlay is to be drawn again, there is no state but all are done.
        """
        done = read_json(self._finished)
        if done:
            return {}, done["frames"], done["seconds"]
        if not self._state.exists():
            return {}, 0, 0.0
        try:
            with np.load(self._state, allow_pickle=False) as saved:
                arrays = dict(saved)
            frames, seconds = int(arrays.pop(FRAMES)), float(arrays.pop(SECONDS))
        except DAMAGED_ARCHIVE:
            print(f"{self._state} is damaged: starting anew", file=sys.stderr)
            return {}, 0, 0.0
        if not self._are_whole(name_of, frames, _can_be_read):
            return {}, 0, 0.0
        return arrays, frames, seconds

    def _are_whole(
        self, name_of: Names, frames: int, is_whole: Callable[[pathlib.Path], bool]
    ) -> bool:
        for name in map(name_of, range(frames)):
            wrong = None if is_whole(self.mask(name)) else self.mask(name)
            if self.soft and not zipfile.is_zipfile(self.soft_mask(name)):
                wrong = wrong or self.soft_mask(name)
            if wrong:
                print(f"{wrong} is missing or damaged: segmenting again", file=sys.stderr)
                return False
        return True

    def _note_run(self) -> None:
        make_folder(self._run.parent)
        write_json(self._run, {"settings": self.settings, NOTED: self._hashes})

    def _flush(self) -> None:
        flush(self._not_flushed)
        self._not_flushed.clear()

    def _check_same_frames(self) -> None:
        file = self._finished if self._finished.exists() else self._run
        before = read_json(file).get(NOTED, self._hashes)
        if before == self._hashes:
            return
        pairs = enumerate(zip(before, self._hashes, strict=False))
        changed = min((index for index, (old, new) in pairs if old != new), default=0)
        if file == self._finished or changed < self._frames_done():
            raise InputError(
                f"{self.path} holds the results of other frames (frame {changed}, counted from 0,"
                " has changed since): give another --out, or --overwrite to start again"
            )

    def _frames_done(self) -> int:
        try:
            with np.load(self._state, allow_pickle=False) as saved:
                return int(saved[FRAMES])
        except DAMAGED_ARCHIVE:
            return 0


def _can_be_read(mask: pathlib.Path) -> bool:
    try:
        read_mask(mask)
    except InputError:
        return False
    return is_whole_png(mask)  # Pillow takes some that have lost their end
