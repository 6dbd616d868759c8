"""What things and the background look like: drawn shapes and textures, cut out photographs."""

import colorsys
import math

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from stm_jax.data.dust import cloud, mixed
from stm_jax.data.light import recolored
from stm_jax.data.pasting import Layer, layer_from
from stm_jax.data.samples import Sample
from stm_jax.data.views import View, box_of

WAVES = (2, 3, 4, 5)  # around the outline
ROUGHNESS = 0.35  # of the outline; at 0 things are disks
STRONG, MUTED = (0.65, 1.0), (0.1, 0.4)  # saturation of things, and of the background
PALE = (0.35, 0.75)  # brightness of the background; things have lighter and darker parts
FAINT = (0.1, 0.35)  # how much still things stand out from the background
GRAIN = 14  # of the background, by which its movement shows: of 255, to either side

Color = Float32[np.ndarray, "3"]


def color(hue: float, saturation: float, brightness: float) -> Color:
    """Returns red, green and blue from 0 to 255."""
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, brightness), np.float32)


def sprite(side: int, hue: float, rng: np.random.Generator) -> Layer:
    """Draws a thing: an outline without corners, filled with a pattern of two strong colours.

    Args:
        side: Of the picture, in pixels; the outline touches the circle in it, less a pixel.
        hue: Of its first colour, a share of the colour circle.
        rng: Draws all else.
    """
    points = (np.arange(side, dtype=np.float32) + 0.5 - side / 2) / (side / 2 - 1)
    x, y = np.meshgrid(points, points)
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    outline = np.ones_like(angle)
    for wave in WAVES:
        height, phase = ROUGHNESS * rng.uniform(0, 1) / wave, rng.uniform(0, 2 * np.pi)
        outline += np.float32(height) * np.cos(wave * angle + np.float32(phase))
    mask = (radius * outline.max() < outline).astype(np.uint8)
    light = color(hue, rng.uniform(*STRONG), rng.uniform(0.8, 1.0))
    dark = color(hue + rng.uniform(0.15, 0.85), rng.uniform(*STRONG), rng.uniform(0.15, 0.5))
    ground = np.broadcast_to(light, (side, side, 3)).astype(np.uint8)
    picture = mixed(ground, dark, _pattern(x, y, rng))
    shade = 0.35 * cloud(side, rng)
    return mixed(picture, np.zeros(3, np.float32), shade), mask


def _pattern(
    x: Float32[np.ndarray, "side side"],
    y: Float32[np.ndarray, "side side"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "side side"]:
    """Draws how much of the second colour there is: stripes, checks or spots."""
    turn, often = rng.uniform(0, np.pi), rng.uniform(5, 11)
    along = np.cos(turn) * x + np.sin(turn) * y
    across = np.cos(turn) * y - np.sin(turn) * x
    one, other = (np.sin(often * way + rng.uniform(0, 6)) for way in (along, across))
    kind = rng.integers(3)
    value = (one, one * other, np.minimum(one, other))[kind]
    return np.clip(0.5 + 4 * value, 0, 1).astype(np.float32)


def cut_out(photograph: Sample, side: int, rng: np.random.Generator) -> Layer:
    """Cuts a thing out of a photograph.

    Args:
        photograph: With its mask.
        side: Of the picture, in pixels; the thing fits in the circle in it, less a pixel.
        rng: Draws the object where there are several.

    Raises:
        InputError: The photograph cannot be read, or its mask is empty.
    """
    picture, mask = layer_from(photograph, None, rng)
    rows, columns = box_of(mask > 0) or (slice(0, 1), slice(0, 1))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    diameter = math.hypot(height, width)
    shrink = min(1.0, side / diameter)
    picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(mask, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    middle = shrink * (columns.start + width / 2), shrink * (rows.start + height / 2)
    view = View(middle, extent=shrink * diameter * side / (side - 2))
    return view.of(picture, side), view.of(mask, side)


def look_alike(layer: Layer, likeness: float) -> Layer:
    """Returns a thing that looks like another: its copy, whose hues are turned.

    Args:
        layer: That other.
        likeness: As of `SyntheticConfig`.
    """
    picture, mask = layer
    turn = math.pi * (1 - likeness)  # about the axis of greys
    matrix = math.cos(turn) * np.eye(3) + (1 - math.cos(turn)) / 3
    matrix += math.sin(turn) / math.sqrt(3) * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return recolored(picture, np.concatenate([matrix, np.zeros((3, 1))], axis=1)), mask


def background(
    height: int, width: int, clutter: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws a background: billows of three muted colours, and still things on it."""
    hue, side = rng.uniform(), max(height, width)
    colors = [
        color(hue + rng.uniform(0, 0.3), rng.uniform(*MUTED), rng.uniform(*PALE)) for _ in range(3)
    ]
    picture = np.broadcast_to(colors[0], (side, side, 3)).astype(np.uint8)
    for each in colors[1:]:
        picture = mixed(picture, each, cloud(side, rng))
    picture = np.ascontiguousarray(picture[:height, :width])
    for _ in range(clutter):
        side = int(height * rng.uniform(0.06, 0.25)) + 2
        thing, mask = sprite(side, rng.uniform(), rng)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        place = picture[top : top + side, left : left + side]
        faint = mask * np.float32(rng.uniform(*FAINT))
        place[:] = mixed(place, thing.astype(np.float32), cv2.GaussianBlur(faint, (3, 3), 0))
    grain = rng.uniform(-GRAIN, GRAIN, (height, width)).astype(np.float32)
    return np.clip(picture + grain[..., None], 0, 255).astype(np.uint8)
