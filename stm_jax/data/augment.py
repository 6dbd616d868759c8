"""Affine views of a picture and its mask, moved together; changes of colour, each one matrix."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

FILL = (124, 116, 104)  # ImageNet's mean: what lies outside a picture
LUMA = np.array([0.299, 0.587, 0.114])

cv2.setNumThreads(1)  # clips are made by as many processes as there are cores

ColorMatrix = Float[np.ndarray, "3 4"]
"""Red, green and blue from red, green, blue and 1."""


@dataclasses.dataclass(frozen=True)
class Ranges:
    """How far a view may stray from its base, each drawn uniformly from plus and minus.

    Attributes:
        rotation: Degrees.
        shear: Degrees.
        scale: 0.2 stands for 0.8 to 1.2.
        shift: Share of the crop's side.
    """

    rotation: float
    shear: float
    scale: float
    shift: float


PHOTOGRAPH = Ranges(rotation=20.0, shear=12.0, scale=0.2, shift=0.15)
VIDEO = Ranges(rotation=5.0, shear=3.0, scale=0.05, shift=0.03)


@dataclasses.dataclass(frozen=True)
class View:
    """A square view of an image: where it looks, how large, how turned.

    Attributes:
        center: (x, y) in pixels of the image.
        extent: Side of the square in pixels of the image.
        rotation: Degrees.
        shear: Degrees.
        flip: Whether left and right change places.
    """

    center: tuple[float, float]
    extent: float
    rotation: float = 0.0
    shear: float = 0.0
    flip: bool = False

    def strayed(self, rng: np.random.Generator, ranges: Ranges) -> "View":
        """Returns a view a little away from this one."""
        rotation, shear, scale, *shift = rng.uniform(-1.0, 1.0, 5)
        return dataclasses.replace(
            self,
            center=(
                self.center[0] + shift[0] * ranges.shift * self.extent,
                self.center[1] + shift[1] * ranges.shift * self.extent,
            ),
            extent=self.extent * (1.0 + scale * ranges.scale),
            rotation=self.rotation + rotation * ranges.rotation,
            shear=self.shear + shear * ranges.shear,
        )

    def matrix(self, size: int, shrink: int = 1) -> Float[np.ndarray, "2 3"]:
        """Returns where a pixel (x, y, 1) of the view, size x size pixels, lies in the picture.

        Args:
            size: Side of the view in pixels.
            shrink: How many times smaller than it was the picture has been decoded.
        """
        angle, shear = np.deg2rad(self.rotation), np.tan(np.deg2rad(self.shear))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) * (self.extent / size)
        if self.flip:
            matrix = matrix @ np.diag([-1.0, 1.0])
        # The middle of the first pixel is at 0.5 here, and at 0 in OpenCV.
        offset = (self.center + matrix @ np.full(2, 0.5 - size / 2)) / shrink - 0.5
        return np.concatenate([matrix / shrink, offset[:, None]], axis=1)

    def of(
        self, picture: UInt8[np.ndarray, "height width *rgb"], size: int, shrink: int = 1
    ) -> UInt8[np.ndarray, "size size *rgb"]:
        """Renders the view at size x size pixels: bilinear for RGB, nearest for ids.

        Args:
            picture: RGB (h, w, 3) or ids (h, w).
            size: Side of the view in pixels.
            shrink: As of `matrix`.
        """
        return self.part_of(picture, size, (slice(0, size), slice(0, size)), shrink)

    def part_of(
        self,
        picture: UInt8[np.ndarray, "height width *rgb"],
        size: int,
        box: tuple[slice, slice],
        shrink: int = 1,
    ) -> UInt8[np.ndarray, "rows columns *rgb"]:
        """Renders only the rows and columns `box` of what `of` gives."""
        rows, columns = box
        matrix = self.matrix(size, shrink)
        matrix[:, 2] += matrix[:, :2] @ (columns.start, rows.start)
        is_mask = picture.ndim == 2
        return cv2.warpAffine(
            picture,
            matrix,
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=(cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderValue=0 if is_mask else FILL,
        )


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


def box_of(shown: Bool[np.ndarray, "height width"]) -> tuple[slice, slice] | None:
    """Returns the smallest rows and columns that hold all that is shown; None if nothing is."""
    x, y, width, height = cv2.boundingRect(shown.view(np.uint8))
    return (slice(y, y + height), slice(x, x + width)) if width else None
