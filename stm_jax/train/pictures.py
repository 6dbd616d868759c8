"""Clips beside what was predicted of them, as one picture."""

import numpy as np
from jaxtyping import UInt8

from stm_jax.data.palette import davis_palette

CLIPS = 4  # the most that are drawn


def picture_of(
    frames: UInt8[np.ndarray, "b t h w 3"],
    masks: UInt8[np.ndarray, "b t h w"],
    labels: UInt8[np.ndarray, "b t-1 h w"],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a row for each of the first few clips: frame, truth, prediction, frame by frame.

    The first frame, whose mask is given, is left out.

    Args:
        frames: RGB.
        masks: The true ids.
        labels: The predicted ids of every frame but the first.
    """
    frames, masks, labels = frames[:CLIPS, 1:], masks[:CLIPS, 1:], labels[:CLIPS]
    panes = np.stack([frames, _tinted(frames, masks), _tinted(frames, labels)], axis=2)
    clips, length, kinds, height, width, _ = panes.shape
    panes = panes.transpose(0, 3, 1, 2, 4, 5)  # (clips, height, length, kinds, width, 3)
    return panes.reshape(clips * height, length * kinds * width, 3)


def _tinted(frames: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Returns the frames half covered by the colour of each pixel's object."""
    return np.where(ids[..., None] > 0, frames // 2 + davis_palette()[ids] // 2, frames)
