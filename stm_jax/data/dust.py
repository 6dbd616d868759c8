"""Clouds of dust, smoke or spray that drift over frames and hide much of what they lie over."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

CLOUDED_SHARE = 0.08  # of the clips
THICKEST = (0.4, 0.85)  # what is behind is to be seen still: its mask stays
DRIFT = 0.15  # of the side, the most a frame


def clouded(
    frames: UInt8[np.ndarray, "t size size 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "t size size 3"]:
    """Lays a cloud over the frames of some clips.

    Args:
        frames: RGB.
        rng: Draws whether, its shape and colour, and how it drifts and grows thicker or thinner.
    """
    if rng.random() >= CLOUDED_SHARE:
        return frames
    length, size = frames.shape[:2]
    density = cloud(2 * size, rng)
    color = rng.uniform(90, 230) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    start, step = rng.uniform(0, 1, 2), rng.uniform(-DRIFT, DRIFT, 2)
    first, last = rng.uniform(*THICKEST, 2)
    thickness = np.linspace(first, last, length)
    covered = np.empty_like(frames)
    for t, frame in enumerate(frames):
        left, top = (size * np.clip(start + t * step, 0, 1)).astype(int)
        share = np.float32(thickness[t]) * density[top : top + size, left : left + size]
        covered[t] = mixed(frame, color, share)
    return covered


def mixed(
    frame: UInt8[np.ndarray, "height width 3"],
    color: Float32[np.ndarray, "*height_width 3"],
    share: Float32[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Mixes a frame with a colour or with a picture, of which each pixel gets so much (0 to 1)."""
    return (frame + share[..., None] * (color - frame)).astype(np.uint8)


def cloud(side: int, rng: np.random.Generator) -> Float32[np.ndarray, "side side"]:
    """Draws a density from 0 to 1, with large billows and small ones, and clear sky between."""
    sky = np.zeros((side, side), np.float32)
    for nodes, height in ((6, 1.0), (14, 0.5), (40, 0.25)):
        billows = height * rng.uniform(-1, 1, (nodes, nodes)).astype(np.float32)
        sky += cv2.resize(billows, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(0.5 + sky, 0, 1)
