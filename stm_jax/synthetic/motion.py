"""How things move, leave and come back: functions of the frame's number, asked in any order."""

import bisect
import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from stm_jax.synthetic.config import SyntheticConfig

SINES = 2
SPREAD = 0.5  # root mean square of a wave
SLOW = 0.03  # radians a frame: of what is not a way, such as size and light
WAY_OUT = 12  # frames, the most, in which a thing moves out of the frame or into it
OCCLUDER_SPEED = 0.025  # of the frame's height, a frame
Edge = Literal["left", "right", "top", "bottom"]


@dataclasses.dataclass(frozen=True)
class Wave:
    """A value from -1 to 1 that changes smoothly: the mean of some sines.

    Attributes:
        speeds: Of the sines, radians a frame.
        phases: Of the sines, radians.
    """

    speeds: tuple[float, ...]
    phases: tuple[float, ...]

    def at(self, frame: float) -> float:
        """Returns the value in a frame."""
        sines = (math.sin(s * frame + p) for s, p in zip(self.speeds, self.phases, strict=True))
        return sum(sines) / len(self.speeds)


def random_wave(speed: float, rng: np.random.Generator) -> Wave:
    """Draws a wave; the root mean square of its change is about SPREAD times `speed` a frame."""
    speeds = (speed * rng.uniform(0.5, 1.5, SINES)).tolist()
    return Wave(tuple(speeds), tuple(rng.uniform(0, 2 * np.pi, SINES).tolist()))


@dataclasses.dataclass(frozen=True)
class Absence:
    """A time in which an object is away.

    Attributes:
        begin: The first frame without it.
        end: The first frame in which it is back.
        way: In how many frames it moves out before, and in after; 0 where it vanishes.
        over: The edges that it leaves and comes back over.
    """

    begin: int
    end: int
    way: int = 0
    over: tuple[Edge, Edge] = ("left", "left")


class Pose(NamedTuple):
    """Where a thing is in a frame, in pixels and degrees.

    out: Over which edge, and which share of its way out it has gone; (edge, 0.0) for inside.
    """

    x: float
    y: float
    diameter: float
    angle: float
    out: tuple[Edge, float] = ("left", 0.0)


@dataclasses.dataclass(frozen=True)
class Wander:
    """Smooth motion around the frame, with absences.

    Attributes:
        middle: Of the frame, (x, y) in pixels.
        reach: How far the way goes from there, (x, y) in pixels.
        diameter: The mean one, in pixels.
        scale: As of `SyntheticConfig`.
        turn: As of `SyntheticConfig`.
        waves: Of x, y, size and angle.
        absences: In order.
    """

    middle: tuple[float, float]
    reach: tuple[float, float]
    diameter: float
    scale: float
    turn: float
    waves: tuple[Wave, Wave, Wave, Wave]
    absences: tuple[Absence, ...] = ()

    def at(self, frame: int) -> Pose | None:
        """Returns where the thing is in a frame; None while it is away."""
        x, y, size, angle = (wave.at(frame) for wave in self.waves)
        pose = Pose(
            self.middle[0] + self.reach[0] * x,
            self.middle[1] + self.reach[1] * y,
            self.diameter * self.scale**size,
            self.turn * angle,
        )
        next_one = bisect.bisect_right(self.absences, frame, key=lambda each: each.begin)
        for absence in self.absences[max(0, next_one - 1) : next_one + 1]:
            if absence.begin <= frame < absence.end:
                return None
            leaves, comes = absence.over
            if 0 < absence.begin - frame <= absence.way:
                share = 1 - (absence.begin - frame) / (absence.way + 1)
                return pose._replace(out=(leaves, share))
            if 0 <= frame - absence.end < absence.way:
                share = 1 - (frame - absence.end + 1) / (absence.way + 1)
                return pose._replace(out=(comes, share))
        return pose

    def nearest_edge(self, frame: int, height: int, width: int) -> Edge:
        """Returns the edge of the frame that the way is nearest to."""
        x, y = (
            middle + reach * wave.at(frame)
            for middle, reach, wave in zip(self.middle, self.reach, self.waves, strict=False)
        )
        ways: dict[Edge, float] = {"left": x, "right": width - x, "top": y, "bottom": height - y}
        return min(ways, key=ways.__getitem__)


def random_wander(config: SyntheticConfig, rng: np.random.Generator) -> Wander:
    """Draws the motion of a thing that never goes away."""
    diameter = config.height * float(np.exp(rng.uniform(*np.log(config.diameter))))
    largest = diameter * config.scale
    middle = config.width / 2, config.height / 2
    reach = (_reach(middle[0], largest), _reach(middle[1], largest))
    speed = config.speed * config.height / (SPREAD * math.sqrt(2))  # of both axes together
    across, along = (random_wave(speed / each, rng) for each in reach)
    size, angle = random_wave(SLOW, rng), random_wave(SLOW, rng)
    waves = (across, along, size, angle)
    return Wander(middle, reach, diameter, config.scale, config.turn, waves)


def _reach(half: float, largest: float) -> float:
    """Returns how far from the middle of a side a thing may go; it stays inside if it fits."""
    return max(half - largest / 2, half / 10)


def with_absences(wander: Wander, config: SyntheticConfig, rng: np.random.Generator) -> Wander:
    """Draws when an object goes away, and how. Every absence ends before the video does."""
    least, most = config.away
    size = config.height, config.width
    found, back = [], 0
    while most > 0:
        stays = int(rng.integers(config.seen[0], config.seen[1] + 1))
        begin = back + stays
        longest = min(most, config.frames - config.seen[0] - begin)
        if longest < least:
            break
        length = math.floor(math.exp(rng.uniform(math.log(least), math.log(longest + 1))))
        end = begin + min(max(length, least), longest)
        way = min(WAY_OUT, config.seen[0] // 3) if rng.random() < config.leaving else 0
        over = wander.nearest_edge(begin, *size), wander.nearest_edge(end, *size)
        found.append(Absence(begin, end, way, over))
        back = end
    return dataclasses.replace(wander, absences=tuple(found))


@dataclasses.dataclass(frozen=True)
class Passing:
    """Steady motion over an object: `over` is where the object is in the frame `when`.

    Attributes:
        when: The frame in which it lies over the object.
        over: (x, y) in pixels.
        step: (x, y) in pixels a frame.
        diameter: In pixels.
        angle: In degrees.
        time: For how many frames before and after `when` it may be in sight.
    """

    when: int
    over: tuple[float, float]
    step: tuple[float, float]
    diameter: float
    angle: float
    time: int

    def at(self, frame: int) -> Pose | None:
        """Returns where the thing is in a frame; None if it is out of sight."""
        since = frame - self.when
        if abs(since) > self.time:
            return None
        x, y = (start + since * step for start, step in zip(self.over, self.step, strict=True))
        return Pose(x, y, self.diameter, self.angle)


def random_passings(
    wander: Wander, config: SyntheticConfig, rng: np.random.Generator
) -> tuple[Passing, ...]:
    """Draws when something passes over an object, which is inside the frame then."""
    every, found = config.occluded_every, []
    diameter = config.cover * wander.diameter
    step = OCCLUDER_SPEED * config.height
    time = math.ceil((math.hypot(config.height, config.width) + diameter) / step)
    for begin in range(0, config.frames, every) if every else ():
        when, angle = begin + int(rng.integers(every)), rng.uniform(0, 2 * np.pi)
        pose = wander.at(when)
        if pose is not None and pose.out[1] == 0 and 0 < when < config.frames:
            way = step * math.cos(angle), step * math.sin(angle)
            turned = float(np.degrees(angle))
            found.append(Passing(when, (pose.x, pose.y), way, diameter, turned, time))
    return tuple(found)
