"""The frames of a video with what was found in them, as they lie on disk."""

import dataclasses
import fractions
import pathlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.truth_masks import read_truth
from stm_jax.data.video_files import Frames, VideoFile
from stm_jax.results.probabilities import Probabilities, read_probabilities
from stm_jax.results.sound import Sound

FOLDER_RATE = 24  # frames a second of a folder of frames; DAVIS has 24


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentedFrame:
    """One frame and its mask.

    Attributes:
        name: of the frame's files.
        time: seconds from the beginning of the video; None if frames have no times, and none of
            them is left out.
        rgb: the frame.
        ids: its mask.
        soft: its probabilities and the objects' ids, where they were kept.
    """

    name: str
    time: fractions.Fraction | None
    rgb: UInt8[np.ndarray, "height width 3"]
    ids: UInt8[np.ndarray, "height width"]
    soft: tuple[Probabilities, UInt8[np.ndarray, " objects"]] | None


@dataclasses.dataclass(frozen=True)
class SegmentedVideo:
    """A video and the folder of its masks. Iterating gives each frame that has a mask and counts.

    Attributes:
        frames: the video.
        masks: holds NAME.png.
        probabilities: holds NAME.npz, of all frames, some or none.
        name: of the video, in files that may hold several.
        only: the numbers of the frames that count; None for all.
    """

    frames: Frames
    masks: pathlib.Path
    probabilities: pathlib.Path
    name: str
    only: frozenset[int] | None = None

    @property
    def rate(self) -> fractions.Fraction:
        """Frames a second."""
        return self.frames.rate or fractions.Fraction(FOLDER_RATE)

    def mask_files(self) -> list[pathlib.Path]:
        """Returns the masks that are there and count, by name."""
        there = sorted(self.masks.glob("*.png"))
        if self.only is None:
            return there
        names = {self.frames.name_of(index) for index in self.only}
        return [file for file in there if file.stem in names]

    def soft_files(self) -> list[pathlib.Path]:
        """Returns the probabilities that are there of those masks, by name."""
        files = [self.probabilities / f"{file.stem}.npz" for file in self.mask_files()]
        return [file for file in files if file.is_file()]

    def sound(self) -> Sound | None:
        """Returns the video's sound, to be closed; None for pictures."""
        return Sound(self.frames.path) if isinstance(self.frames, VideoFile) else None

    def __iter__(self) -> Iterator[SegmentedFrame]:
        for index, rgb, time in self._counting():
            name = self.frames.name_of(index)
            mask = self.masks / f"{name}.png"
            if mask.is_file():
                soft = self.probabilities / f"{name}.npz"
                yield SegmentedFrame(
                    name,
                    time,
                    rgb,
                    read_truth(mask),
                    read_probabilities(soft) if soft.is_file() else None,
                )

    def _counting(self) -> Iterator[tuple[int, np.ndarray, fractions.Fraction | None]]:
        if self.only is None:
            for index, (rgb, time) in enumerate(self.frames.timed()):
                yield index, rgb, time
            return
        left = set(self.only)
        first = min(left, default=0)
        for index, (rgb, time) in enumerate(self.frames.timed(first), first):
            if not left:
                return
            if index in left:
                left.remove(index)
                yield index, rgb, index / self.rate if time is None else time
