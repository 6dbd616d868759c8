"""One synthetic video: everything in it is drawn at first, each frame when it is asked for."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from stm_jax.data.bending import Bending, random_bending
from stm_jax.data.camera import motion_blurred
from stm_jax.data.dust import cloud, mixed
from stm_jax.data.light import ColorMatrix, random_color, recolored
from stm_jax.data.pasting import Layer
from stm_jax.data.samples import Sample
from stm_jax.data.views import View, box_of
from stm_jax.errors import InputError
from stm_jax.synthetic.config import SyntheticConfig
from stm_jax.synthetic.motion import (
    SLOW,
    Passing,
    Pose,
    Wander,
    Wave,
    random_passings,
    random_wander,
    random_wave,
    with_absences,
)
from stm_jax.synthetic.sprites import background, color, cut_out, look_alike, sprite

ATTEMPTS, TRIES = 100, 30  # to find places in the first frame; in each so many for a thing
BEND_SPEED = 0.2  # of that in the clips of training, whose frames are further apart
MOST_SIDE = 512  # of a thing's picture, in pixels
ROOM = 1.15  # diameters that a thing takes in a frame, as it bends


class SyntheticFrame(NamedTuple):
    """A frame and its truth.

    rgb: (height, width, 3) uint8.
    ids: (height, width) uint8, 0 is background; a pixel belongs to what is seen there.
    """

    rgb: np.ndarray
    ids: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Thing:
    """Something that moves over the background.

    Attributes:
        object_id: Its id in the truth; 0 for what is not to be followed.
        layer: What it looks like; side x side pixels, and that long is its diameter.
        motion: How it moves.
        bending: How it bends; None if it does not.
    """

    object_id: int
    layer: Layer
    motion: Wander | Passing
    bending: Bending | None


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticVideo:
    """A video, to be made by `synthetic_video`; any frame can be asked for, in any order.

    Attributes:
        config: Its knobs.
        name: As a data set calls it.
        things: In the order in which they are painted, the last on top.
        ground: The background, wider and higher than a frame.
        light: How the colours change at the most, and when.
        camera: Where it looks, from left to right and from top to bottom.
        blur: When frames are blurred, and in which direction, in turns.
        dust: A cloud's density, its colour, how it drifts (twice), and when it comes.
    """

    config: SyntheticConfig
    name: str
    things: tuple[Thing, ...]
    ground: UInt8[np.ndarray, "ground_height ground_width 3"]
    light: tuple[ColorMatrix, Wave]
    camera: tuple[Wave, Wave]
    blur: tuple[Wave, Wave]
    dust: tuple[Float32[np.ndarray, "side side"], Float32[np.ndarray, "3"], tuple[Wave, Wave, Wave]]

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[SyntheticFrame]:
        """Yields the frames in order, each made then."""
        return map(self.frame, range(len(self)))

    def frame(self, number: int) -> SyntheticFrame:
        """Returns a frame, the first is 0."""
        rgb = self._ground(number)
        ids = np.zeros(rgb.shape[:2], np.uint8)
        for thing in self.things:
            pose = thing.motion.at(number)
            if pose is not None:
                paint(rgb, ids, thing, pose, number)
        return SyntheticFrame(self._filmed(rgb, number), ids)

    def _ground(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        height, width = self.config.height, self.config.width
        rows, columns = self.ground.shape[:2]
        x, y = (self.config.camera * height * wave.at(number) for wave in self.camera)
        view = View((columns / 2 + x, rows / 2 + y), extent=width)
        top = (width - height) // 2  # a view is square: of this one the middle rows are wanted
        return view.part_of(self.ground, width, (slice(top, top + height), slice(0, width)))

    def _filmed(
        self, rgb: UInt8[np.ndarray, "height width 3"], number: int
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Adds what lies between the things and the eye: dust, light, blur."""
        height, width = rgb.shape[:2]
        density, dust_color, (right, down, thickness) = self.dust
        share = self.config.dust * max(0.0, thickness.at(number))
        if share > 0:
            side = len(density)
            left = int((side - width) * (0.5 + 0.5 * right.at(number)))
            top = int((side - height) * (0.5 + 0.5 * down.at(number)))
            there = density[top : top + height, left : left + width]
            rgb = mixed(rgb, dust_color, np.float32(share) * there)
        change, when = self.light
        rgb = recolored(rgb, np.eye(3, 4) + when.at(number) * (change - np.eye(3, 4)))
        length = self.config.blur * height * max(0.0, self.blur[0].at(number))
        if length > 1:
            rgb = motion_blurred(rgb, length, math.pi * self.blur[1].at(number))
        return rgb


def synthetic_video(
    config: SyntheticConfig, seed: int, index: int = 0, photographs: Sequence[Sample] = ()
) -> SyntheticVideo:
    """Draws a video, the same for the same arguments.

    Args:
        config: Its knobs.
        seed: Of the set of videos, 0 or more.
        index: Which video of the set.
        photographs: What things are cut out of; drawn if there are none.

    Raises:
        InputError: A knob is out of its range, the objects do not fit beside each other, or a
            photograph cannot be used.
    """
    config.check()
    rng = np.random.default_rng((seed, index))
    followed, others, passing = _things(config, photographs, rng)
    mixed_up = [(*followed, *others)[i] for i in rng.permutation(len(followed) + len(others))]
    rows = config.height + math.ceil(2 * config.camera * config.height) + 2
    columns = config.width + math.ceil(2 * config.camera * config.height) + 2
    ground = background(rows, columns, config.clutter, rng)
    waves = [random_wave(SLOW, rng) for _ in range(8)]
    pale = color(rng.uniform(), rng.uniform(0, 0.3), rng.uniform(0.4, 0.9))
    return SyntheticVideo(
        config,
        name_of(index),
        (*mixed_up, *passing),
        ground,
        (random_color(ground, rng, config.light), waves[0]),
        (waves[1], waves[2]),
        (waves[3], waves[4]),
        (cloud(2 * max(config.height, config.width), rng), pale, (waves[5], waves[6], waves[7])),
    )


def name_of(index: int) -> str:
    """Returns the name of a video of a set."""
    return f"synthetic-{index:04d}"


def _things(
    config: SyntheticConfig, photographs: Sequence[Sample], rng: np.random.Generator
) -> tuple[list[Thing], list[Thing], list[Thing]]:
    """Draws the objects, their look-alikes, and what passes over them."""
    largest = config.height * config.diameter[1] * config.scale
    side = min(max(16, math.ceil(largest)), MOST_SIDE)
    first_hue = rng.uniform()
    motions = iter(_placed(config, rng))
    followed, others, passing = [], [], []

    def looks(hue: float) -> Layer:
        if photographs:
            return cut_out(photographs[int(rng.integers(len(photographs)))], side, rng)
        return sprite(side, hue, rng)

    def bending() -> Bending | None:
        return random_bending((0.0, 0.0), side, rng, config.bend) if config.bend else None

    for index in range(config.objects):
        layer = looks(first_hue + index / config.objects)
        motion = with_absences(next(motions), config, rng)
        followed.append(Thing(index + 1, layer, motion, bending()))
        for _ in range(config.look_alikes):
            alike = look_alike(layer, config.likeness)
            others.append(Thing(0, alike, next(motions), bending()))
        cover, bends = looks(rng.uniform()), bending()
        passing += [Thing(0, cover, each, bends) for each in random_passings(motion, config, rng)]
    objects = [each.motion.at(0) for each in followed]
    passing = [each for each in passing if _apart(each.motion.at(0), objects)]
    return followed, others, passing


def _placed(config: SyntheticConfig, rng: np.random.Generator) -> list[Wander]:
    """Draws the motions of all objects and look-alikes, which begin apart from each other."""
    count = config.objects * (1 + config.look_alikes)
    for _ in range(ATTEMPTS):
        motions: list[Wander] = []
        failed = 0
        while len(motions) < count and failed < TRIES:
            motion = random_wander(config, rng)
            is_apart = _apart(motion.at(0), [each.at(0) for each in motions])
            motions += [motion] * is_apart
            failed = 0 if is_apart else failed + 1
        if len(motions) == count:
            return motions
    raise InputError(
        f"{count} objects and look-alikes do not fit beside each other in"
        f" {config.width}x{config.height} pixels: give fewer, or a smaller --diameter"
    )


def _apart(pose: Pose | None, others: list[Pose | None]) -> bool:
    return pose is None or all(
        math.hypot(pose.x - each.x, pose.y - each.y) > ROOM * (pose.diameter + each.diameter) / 2
        for each in others
        if each is not None
    )


def paint(
    rgb: UInt8[np.ndarray, "height width 3"],
    ids: UInt8[np.ndarray, "height width"],
    thing: Thing,
    pose: Pose,
    number: int,
) -> None:
    """Paints a thing over a frame and into its truth, where what was there before ends."""
    picture, mask = thing.layer
    side = math.ceil(ROOM * pose.diameter) + 2
    left, top = math.floor(pose.x - side / 2), math.floor(pose.y - side / 2)
    off = (pose.x - side / 2 - left) / side, (pose.y - side / 2 - top) / side
    middle = len(mask) / 2
    view = View(
        (middle, middle),
        extent=len(mask) * side / pose.diameter,
        rotation=pose.angle,
        bend=thing.bending and thing.bending.at(BEND_SPEED * number),
    ).shifted(-off[0], -off[1])
    shown = view.of(mask, side) > 0
    box = box_of(shown)
    if box is None:
        return
    right, down = _out(pose, left, top, box, ids.shape)
    left, top = left + right, top + down
    rows = slice(max(0, -top), min(side, len(ids) - top))
    columns = slice(max(0, -left), min(side, ids.shape[1] - left))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    there = (
        slice(rows.start + top, rows.stop + top),
        slice(columns.start + left, columns.stop + left),
    )
    over = shown[rows, columns]
    np.copyto(rgb[there], view.part_of(picture, side, (rows, columns)), where=over[..., None])
    np.copyto(ids[there], thing.object_id, where=over)


def _out(
    pose: Pose, left: int, top: int, box: tuple[slice, slice], shape: tuple[int, ...]
) -> tuple[int, int]:
    """Returns how far right and down a thing on its way out has gone, in pixels.

    At a share of 1 it would just be out of sight; at less some of it is in the frame.
    """
    (edge, share), (rows, columns) = pose.out, box
    match edge:
        case "left":
            return -int(share * (left + columns.stop)), 0
        case "right":
            return int(share * (shape[1] - left - columns.start)), 0
        case "top":
            return 0, -int(share * (top + rows.stop))
        case "bottom":
            return 0, int(share * (shape[0] - top - rows.start))
