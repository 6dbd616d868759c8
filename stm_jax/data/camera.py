"""What a camera does to frames and not to what they show: motion blur, noise, compression."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

BLURRED_SHARE = 1 / 3  # of the clips, and there of every other frame
LONGEST_BLUR = 1 / 16  # of the side
NOISY_SHARE = 0.05
COMPRESSED_SHARE = 0.05


def worn(
    frames: UInt8[np.ndarray, "t size size 3"],
    shake: Float[np.ndarray, "t 2"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "t size size 3"]:
    """Blurs, and seldom adds noise or artefacts of JPEG to, the frames of some clips.

    Args:
        frames: RGB.
        shake: Where the camera looks in each frame: it blurs in the direction in which it moves.
            Where it does not, things blur in a random one.
        rng: Draws what happens.
    """
    if rng.random() < BLURRED_SHARE:
        longest = max(3.0, LONGEST_BLUR * frames.shape[1])
        moves = np.diff(shake, axis=0, prepend=shake[:1])
        frames = frames.copy()
        for t in np.flatnonzero(rng.random(len(frames)) < 0.5):
            angle = np.arctan2(*moves[t][::-1]) if moves[t].any() else rng.uniform(0, np.pi)
            frames[t] = motion_blurred(frames[t], rng.uniform(2.0, longest), angle)
    if rng.random() < NOISY_SHARE:
        noise = rng.standard_normal(frames.shape, np.float32) * np.float32(rng.uniform(2, 8))
        frames = np.clip(frames + noise, 0, 255).astype(np.uint8)
    if rng.random() < COMPRESSED_SHARE:
        quality = int(rng.integers(20, 60))
        frames = np.stack([_compressed(frame, quality) for frame in frames])
    return frames


def motion_blurred(
    frame: UInt8[np.ndarray, "height width 3"], length: float, angle: float
) -> UInt8[np.ndarray, "height width 3"]:
    """Blurs along a line, evenly to both of its ends.

    Args:
        frame: RGB.
        length: Of the line, in pixels.
        angle: Of the line, radians from the rows to the columns.
    """
    half = int(np.ceil(length / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    # Points less than half a pixel apart, each shared by the four pixels around it.
    for along in np.linspace(-length / 2, length / 2, 4 * half + 1):
        x, y = half + along * np.cos(angle), half + along * np.sin(angle)
        column, row = min(int(x), 2 * half - 1), min(int(y), 2 * half - 1)
        right, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer((1 - down, down), (1 - right, right))
    return cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _compressed(
    frame: UInt8[np.ndarray, "height width 3"], quality: int
) -> UInt8[np.ndarray, "height width 3"]:
    # Red and blue change places, which they do back again.
    bgr = np.ascontiguousarray(frame[..., ::-1])
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
