"""How views move along a clip: by jumps, or smoothly, and all together when the camera shakes."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from stm_jax.data.bending import BENT_SHARE, random_bends
from stm_jax.data.views import View

SMOOTH_SHARE = 0.5  # of the clips; in the others every frame has a random map (the paper)
TRAVEL = 1.5  # from the first frame to the last: two of the paper's maps are up to 2 apart
UNEVENNESS = 0.3  # how far a speed wanders off along a clip
SHAKEN_SHARE = 0.4  # of the clips
SHAKE = (0.01, 0.06)  # shares of the side, a frame
WIDEST_PAN = 0.25  # of the side: beyond the edge of a photograph is nothing to see
CROSSING = (0.8, 1.8)  # sides a clip
HIDDEN_SHARE = 0.15  # of what is pasted: it leaves, and comes back


@dataclasses.dataclass(frozen=True)
class Ranges:
    """How far a view may stray from its base, each drawn uniformly from plus and minus.

    Attributes:
        rotation: Degrees.
        shear: Degrees.
        zoom: 0.2 stands for exp(-0.2) to exp(0.2).
        shift: Share of the crop's side.
    """

    rotation: float
    shear: float
    zoom: float
    shift: float

    def drawn(self, rng: np.random.Generator, times: float = 1.0) -> Float[np.ndarray, "5"]:
        """Draws what `View.moved` takes."""
        most = (self.rotation, self.shear, self.zoom, self.shift, self.shift)
        return times * np.array(most) * rng.uniform(-1, 1, 5)


PHOTOGRAPH = Ranges(rotation=20.0, shear=12.0, zoom=0.2, shift=0.15)
VIDEO = Ranges(rotation=5.0, shear=3.0, zoom=0.05, shift=0.03)
STILL = Ranges(rotation=3.0, shear=2.0, zoom=0.03, shift=0.02)


@dataclasses.dataclass(frozen=True)
class Motion:
    """What all layers of a clip have in common.

    Attributes:
        smooth: Whether they move smoothly, not by jumps.
        shake: Where the camera looks in each frame, (right, down) in shares of the crop's side.
    """

    smooth: bool
    shake: Float[np.ndarray, "t 2"]


def random_motion(rng: np.random.Generator, length: int) -> Motion:
    """Draws the motion of a clip; a camera that shakes either trembles or pans as well."""
    smooth = bool(rng.random() < SMOOTH_SHARE)
    if rng.random() >= SHAKEN_SHARE:
        return Motion(smooth, np.zeros((length, 2)))
    speed = np.exp(rng.uniform(*np.log(SHAKE)))
    shake = rng.uniform(-speed, speed, (length, 2))
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        way = min(speed * (length - 1), WIDEST_PAN)
        pan = np.linspace(0, way, length)[:, None] * (np.cos(angle), np.sin(angle))
        shake = 0.2 * shake + pan
    return Motion(smooth, shake)


def path(start: View, ranges: Ranges, motion: Motion, rng: np.random.Generator) -> list[View]:
    """Moves a view along a clip: `start` is the first of a smooth path, the middle of the jumps."""
    length = len(motion.shake)
    if motion.smooth:
        travel = ranges.drawn(rng, TRAVEL * (max(length - 1, 1) / 2) ** (1 / 3))
        moves = _progress(rng, length) * travel
    else:
        moves = np.stack([ranges.drawn(rng) for _ in range(length)])
    return _along(start, moves, motion)


def crossing(middle: View, motion: Motion, rng: np.random.Generator) -> list[View]:
    """Moves a view fast and smoothly; `middle` is where it is in some frame of the clip."""
    length = len(motion.shake)
    travel = STILL.drawn(rng)
    angle = rng.uniform(0, 2 * np.pi)
    travel[3:] = rng.uniform(*CROSSING) * np.array([np.cos(angle), np.sin(angle)])
    progress = _progress(rng, length)
    return _along(middle, (progress - progress[rng.integers(length)]) * travel, motion)


def bent(
    views: list[View],
    corner: tuple[float, float],
    side: float,
    rng: np.random.Generator,
) -> list[View]:
    """Bends what some views show, or, more often, does not."""
    if rng.random() >= BENT_SHARE:
        return views
    bends = random_bends(corner, side, len(views), rng)
    return [dataclasses.replace(v, bend=bend) for v, bend in zip(views, bends, strict=True)]


def hidden_frames(rng: np.random.Generator, length: int) -> Bool[np.ndarray, " t"]:
    """Draws in which frames a thing is away: seldom in any, never in the first or the last."""
    hidden = np.zeros(length, bool)
    if length >= 3 and rng.random() < HIDDEN_SHARE:
        begin = rng.integers(1, length - 1)
        hidden[begin : rng.integers(begin + 1, length)] = True
    return hidden


def _progress(rng: np.random.Generator, length: int) -> Float[np.ndarray, "t 5"]:
    """Goes from 0 to about 1, at a speed that changes little from frame to frame."""
    steps = max(length - 1, 1)
    wander = np.cumsum(rng.normal(0, UNEVENNESS / np.sqrt(steps), (length - 1, 5)), axis=0)
    return np.concatenate([np.zeros((1, 5)), np.cumsum((1 + wander) / steps, axis=0)])


def _along(start: View, moves: Float[np.ndarray, "t 5"], motion: Motion) -> list[View]:
    return [
        start.moved(*move).shifted(*shift) for move, shift in zip(moves, motion.shake, strict=True)
    ]
