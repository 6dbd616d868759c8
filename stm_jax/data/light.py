"""Changes of colour, each one matrix; light that changes along a clip."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

LUMA = np.array([0.299, 0.587, 0.114])
DRIFTING_SHARE = 0.5  # of the clips: the light changes from the first frame to the last
DRIFT = 0.25
JITTER = 0.03  # between neighbouring frames: what an automatic exposure does

ColorMatrix = Float[np.ndarray, "3 4"]
"""Red, green and blue from red, green, blue and 1."""


def recolored(
    pictures: UInt8[np.ndarray, "*frames height width 3"], matrix: ColorMatrix
) -> UInt8[np.ndarray, "*frames height width 3"]:
    """Changes the colours of one picture or several."""
    flat = pictures.reshape(-1, pictures.shape[-2], 3)  # (frames * height, width, 3)
    return cv2.transform(flat, matrix.astype(np.float32)).reshape(pictures.shape)


def random_color(
    picture: UInt8[np.ndarray, "height width 3"], rng: np.random.Generator, amount: float = 0.2
) -> ColorMatrix:
    """Draws a change of brightness, contrast about the mean, and colour, up to `amount` each."""
    brightness, contrast, color = 1.0 + rng.uniform(-amount, amount, 3)
    mean = brightness * LUMA @ cv2.mean(picture)[:3]
    linear = brightness * contrast * (color * np.eye(3) + (1 - color) * np.tile(LUMA, (3, 1)))
    return np.concatenate([linear, np.full((3, 1), (1 - contrast) * mean)], axis=1)


def likeness(
    picture: UInt8[np.ndarray, "height width 3"],
    shown: Bool[np.ndarray, "height width"],
    model: UInt8[np.ndarray, "model_height model_width 3"],
    shown_in_model: Bool[np.ndarray, "model_height model_width"],
    rng: np.random.Generator,
) -> ColorMatrix:
    """Returns what gives pixels the mean and the spread of colour that others have.

    Args:
        picture: RGB.
        shown: The pixels of it to change.
        model: RGB.
        shown_in_model: The pixels of it to look like; no change without any of both.
        rng: Draws how far the change goes, from half to the whole way.
    """
    if not shown.any() or not shown_in_model.any():
        return np.eye(3, 4)
    mean, spread = (v[:, 0] for v in cv2.meanStdDev(picture, mask=shown.view(np.uint8)))
    to_mean, to_spread = (
        v[:, 0] for v in cv2.meanStdDev(model, mask=shown_in_model.view(np.uint8))
    )
    factor = np.clip((to_spread + 1) / (spread + 1), 0.4, 2.5)
    share = rng.uniform(0.5, 1.0)
    offset = share * (to_mean - mean * factor)
    return np.concatenate([np.diag(share * factor + 1 - share), offset[:, None]], axis=1)


def grey() -> ColorMatrix:
    """Returns what takes the colour away."""
    return np.concatenate([np.tile(LUMA, (3, 1)), np.zeros((3, 1))], axis=1)


def joined(first: ColorMatrix, then: ColorMatrix) -> ColorMatrix:
    """Returns what does both changes, one after the other."""
    return then @ np.vstack([first, [0, 0, 0, 1]])


def drift(
    picture: UInt8[np.ndarray, "height width 3"], count: int, rng: np.random.Generator
) -> list[ColorMatrix]:
    """Draws changes of colour for frames in order, which go evenly from none to a random one.

    Args:
        picture: The first frame, RGB.
        count: How many frames.
        rng: Draws the last change, in which red, green and blue change apart from each other as
            well, and a little that comes to every frame on its own.
    """
    last = random_color(picture, rng, DRIFT) * rng.uniform(1 - DRIFT / 3, 1 + DRIFT / 3, (3, 1))
    shares = np.linspace(0, 1, count)
    steady = [(1 - share) * np.eye(3, 4) + share * last for share in shares]
    return [joined(change, random_color(picture, rng, JITTER)) for change in steady]
