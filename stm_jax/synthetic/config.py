"""The knobs of a synthetic video: one for every difficulty."""

import dataclasses

from stm_jax.checks import check_types, within
from stm_jax.errors import InputError

MOST_FRAMES = 99_999  # whose names have five digits
MOST_SIDE = 4096
MOST_OBJECTS = 64


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """What synthetic videos show, and how hard it is to follow.

    Shares are of the frame's height, unless it says otherwise.

    Attributes:
        frames: Frames a video.
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        objects: What is to be followed. All are in sight in the first frame.
        diameter: Least and greatest diameter of an object, shares.
        look_alikes: So many other things for each object look like it; they are background.
        likeness: 1 makes a look-alike a copy; with less its hues are turned, at 0 to the opposite.
        seen: An object stays for so many frames, least and most, before it goes away.
        away: It is away for so many, least and most, as far as the video is long enough; 0 0 for
            never. Short and long absences are drawn alike often (their logarithm is uniform).
        leaving: Share of the absences for which it moves out of the frame, over the nearest edge,
            and comes back over an edge; for the others it is not there from one frame to the next.
        occluded_every: Something passes over an object about every so many frames; 0 for never.
        cover: Its diameter, in diameters of the object.
        speed: Of things, root mean square, shares a frame.
        scale: A thing grows and shrinks by up to this factor.
        turn: A thing turns by up to so many degrees to either side.
        bend: A thing bends so many times as much as in the clips of training; 0 for rigid ones.
        light: Brightness, contrast and colour change by up to this share over time.
        camera: The background moves by up to this share to either side.
        blur: Longest motion blur of a frame, a share; it comes and goes.
        dust: Greatest share of a pixel's colour that a drifting cloud takes; it comes and goes.
        clutter: Still things on the background.
    """

    frames: int = 300
    height: int = 240
    width: int = 426
    objects: int = 2
    diameter: tuple[float, float] = (0.3, 0.4)
    look_alikes: int = 1
    likeness: float = 0.5
    seen: tuple[int, int] = (30, 120)
    away: tuple[int, int] = (5, 500)
    leaving: float = 0.5
    occluded_every: int = 100
    cover: float = 1.2
    speed: float = 0.01
    scale: float = 1.3
    turn: float = 30.0
    bend: float = 1.0
    light: float = 0.2
    camera: float = 0.15
    blur: float = 0.01
    dust: float = 0.2
    clutter: int = 12

    def check(self) -> None:
        """Raises InputError if a knob is of another type or out of its range; it is named."""
        check_types(self)
        for name, least, most in RANGES:
            value = getattr(self, name)
            for each in value if isinstance(value, tuple) else (value,):
                within(_option(name), each, least, most)
        for name in ("diameter", "seen", "away"):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{_option(name)} is {low} {high}: give the least one first")
        if sum(self.away) > 0 and self.away[0] < 1:
            raise InputError(
                f"{_option('away')} is 0 {self.away[1]}: give 1 frame or more, or 0 0 for never"
            )


RANGES = (
    ("frames", 2, MOST_FRAMES),
    ("height", 16, MOST_SIDE),
    ("width", 16, MOST_SIDE),
    ("objects", 1, MOST_OBJECTS),
    ("diameter", 0.02, 1.0),
    ("look_alikes", 0, MOST_OBJECTS),
    ("likeness", 0.0, 1.0),
    ("seen", 1, MOST_FRAMES),
    ("away", 0, MOST_FRAMES),
    ("leaving", 0.0, 1.0),
    ("occluded_every", 0, MOST_FRAMES),
    ("cover", 0.1, 10.0),
    ("speed", 0.0, 1.0),
    ("scale", 1.0, 10.0),
    ("turn", 0.0, 180.0),
    ("bend", 0.0, 2.0),
    ("light", 0.0, 1.0),
    ("camera", 0.0, 1.0),
    ("blur", 0.0, 0.5),
    ("dust", 0.0, 1.0),
    ("clutter", 0, 1000),
)
"""The least and the greatest value of each knob."""


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
