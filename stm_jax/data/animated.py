"""The frames of an animated WebP, which FFmpeg does not decode."""

import dataclasses
import fractions
import pathlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.image_files import animation

Timed = tuple[UInt8[np.ndarray, "height width 3"], fractions.Fraction | None]


@dataclasses.dataclass(frozen=True)
class AnimatedPicture:
    """An animated WebP as a video.

    Attributes:
      path: the file.
      height, width: in pixels.
      rate: frames a second, the mean; None if they have no durations.
      count: number of frames.
    """

    path: pathlib.Path
    height: int
    width: int
    rate: fractions.Fraction | None
    count: int

    def name_of(self, index: int) -> str:
        return f"{index:05d}"

    def read(self, start: int = 0) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """Yields the frames from number `start` on; raises InputError at a damaged one."""
        for rgb, _ in self.timed(start):
            yield rgb

    def timed(self, start: int = 0) -> Iterator[Timed]:
        """Yields the frames as `read` does, each with its time in seconds."""
        time = fractions.Fraction(0)
        for index, (rgb, milliseconds) in enumerate(animation(self.path)):
            if index >= start:
                yield rgb, time
            time += fractions.Fraction(round(milliseconds), 1000)


def open_animation(path: pathlib.Path) -> AnimatedPicture:
    """Returns the frames of an animated WebP; raises InputError if one cannot be read."""
    count, time, shape = 0, 0.0, (0, 0, 3)
    for rgb, milliseconds in animation(path):
        count, time, shape = count + 1, time + milliseconds, rgb.shape
    rate = fractions.Fraction(1000 * count / time).limit_denominator(1001) if time else None
    return AnimatedPicture(path, shape[0], shape[1], rate, count)
