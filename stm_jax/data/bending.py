"""Smooth displacements that bend a picture and its mask alike, for what is not rigid."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float32

BENT_SHARE = 0.35  # of the layers of clips
NODES = 4  # a side: parts of a thing move against each other, its texture does not swirl
FINE = 32  # a side, cubic between the nodes: between the fine ones a line does
LEAST, MOST = 0.01, 0.05  # of the side of what is bent; twice as much could fold it
TURN = (0.1, 0.8)  # radians a frame


@dataclasses.dataclass(frozen=True)
class Bend:
    """Says for the points of a square of an image from where it shows them.

    Attributes:
        corner: (x, y) of the square's upper left, in pixels of the image.
        side: Of the square, in pixels of the image.
        offsets: (x, y) to add, in shares of the side, at a grid of points all over the square;
            around it they are those of its edge.
    """

    corner: tuple[float, float]
    side: float
    offsets: Float32[np.ndarray, "fine fine 2"]

    def bent(
        self,
        x: Float32[np.ndarray, "height width"],
        y: Float32[np.ndarray, "height width"],
        shrink: int,
    ) -> tuple[Float32[np.ndarray, "height width"], Float32[np.ndarray, "height width"]]:
        """Moves points in pixels of an image, decoded `shrink` times smaller than it was."""
        pitch = self.side / len(self.offsets)
        columns, rows = (
            ((points + 0.5) * shrink - start) / pitch - 0.5
            for points, start in zip((x, y), self.corner, strict=True)
        )
        added = cv2.remap(
            self.offsets,
            columns.astype(np.float32),
            rows.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        added *= self.side / shrink
        return x + added[..., 0], y + added[..., 1]


@dataclasses.dataclass(frozen=True)
class Bending:
    """Says how something in a square of an image bends over time, a little more each frame.

    Attributes:
        corner: As of `Bend`.
        side: As of `Bend`.
        ways: Two ways to bend, as offsets of `Bend`; frames go around between them and their
            opposites.
        most: How much, in shares of the side.
        start: Radians.
        turn: Radians a frame.
    """

    corner: tuple[float, float]
    side: float
    ways: tuple[Float32[np.ndarray, "fine fine 2"], Float32[np.ndarray, "fine fine 2"]]
    most: float
    start: float
    turn: float

    def at(self, frame: float) -> Bend:
        """Returns how it is bent in a frame."""
        angle = self.start + self.turn * frame
        one, other = self.ways
        offsets = np.float32(np.cos(angle)) * one + np.float32(np.sin(angle)) * other
        return Bend(self.corner, self.side, np.float32(self.most) * offsets)


def random_bending(
    corner: tuple[float, float], side: float, rng: np.random.Generator, times: float = 1.0
) -> Bending:
    """Draws how something in a square of an image bends.

    Args:
        corner: As of `Bend`.
        side: As of `Bend`.
        rng: Draws the two ways to bend, and how fast frames go around between them.
        times: How many times as much as the clips of training bend.
    """
    one, other = (
        cv2.resize(nodes, (FINE, FINE), interpolation=cv2.INTER_CUBIC)
        for nodes in rng.uniform(-1, 1, (2, NODES, NODES, 2)).astype(np.float32)
    )
    most = times * rng.uniform(LEAST, MOST)
    return Bending(corner, side, (one, other), most, rng.uniform(0, 2 * np.pi), rng.uniform(*TURN))


def random_bends(
    corner: tuple[float, float], side: float, count: int, rng: np.random.Generator
) -> list[Bend]:
    """Draws how something in a square of an image bends along a clip of `count` frames."""
    bending = random_bending(corner, side, rng)
    return [bending.at(frame) for frame in range(count)]
