"""Views of a picture and its mask, moved and bent together."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from stm_jax.data.bending import Bend

FILL = (124, 116, 104)  # ImageNet's mean: what lies outside a picture

cv2.setNumThreads(1)  # clips are made by as many processes as there are cores


@dataclasses.dataclass(frozen=True)
class View:
    """A square view of an image: where it looks, how large, how turned.

    Attributes:
        center: (x, y) in pixels of the image.
        extent: Side of the square in pixels of the image.
        rotation: Degrees.
        shear: Degrees.
        flip: Whether left and right change places.
        bend: How the image is bent under the view; None if it is not.
    """

    center: tuple[float, float]
    extent: float
    rotation: float = 0.0
    shear: float = 0.0
    flip: bool = False
    bend: Bend | None = None

    def moved(
        self,
        rotation: float,
        shear: float,
        zoom: float,
        right: float,
        down: float,
    ) -> "View":
        """Returns this view turned, sheared, zoomed and shifted.

        Args:
            rotation: Degrees.
            shear: Degrees.
            zoom: Logarithm of how many times larger the extent gets.
            right: Shift in shares of the view's side, along its own rows ...
            down: ... and along its columns.
        """
        return dataclasses.replace(
            self.shifted(right, down),
            extent=self.extent * float(np.exp(zoom)),
            rotation=self.rotation + rotation,
            shear=self.shear + shear,
        )

    def shifted(self, right: float, down: float) -> "View":
        """Returns this view shifted by shares of its side: what it shows moves left and up."""
        x, y = self.center + self.matrix(1)[:, :2] @ (right, down)
        return dataclasses.replace(self, center=(float(x), float(y)))

    def inside(self, sides: Float[np.ndarray, "2"]) -> float:
        """Returns the share of the view that shows an image of these sides, (width, height)."""
        grid = np.stack([*np.meshgrid(*[(np.arange(8) + 0.5) / 8 - 0.5] * 2)]).reshape(2, -1)
        points = self.matrix(1)[:, :2] @ grid + np.array(self.center)[:, None]
        return float(((points >= 0) & (points <= sides[:, None])).all(axis=0).mean())

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
        width, height = columns.stop - columns.start, rows.stop - rows.start
        flags = cv2.INTER_NEAREST if is_mask else cv2.INTER_LINEAR
        fill = 0 if is_mask else FILL
        if self.bend is None:
            flags |= cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderValue=fill)
        (by_column, by_row, offset) = matrix.astype(np.float32).T
        across, along = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        x, y = (by_column[i] * across + (by_row[i] * along + offset[i])[:, None] for i in (0, 1))
        x, y = self.bend.bent(x, y, shrink)
        return cv2.remap(picture, x, y, flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)


def box_of(shown: Bool[np.ndarray, "height width"]) -> tuple[slice, slice] | None:
    """Returns the smallest rows and columns that hold all that is shown; None if nothing is."""
    x, y, width, height = cv2.boundingRect(shown.view(np.uint8))
    return (slice(y, y + height), slice(x, x + width)) if width else None
