"""Affine views of an image and its mask, moved together."""

import dataclasses

import numpy as np
from PIL import Image, ImageEnhance

FILL = (124, 116, 104)  # ImageNet's mean: what lies outside an image


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

    def of(self, image: Image.Image, size: int) -> np.ndarray:
        """Renders the view at size x size pixels: bilinear for RGB, nearest for ids."""
        angle, shear = np.deg2rad(self.rotation), np.tan(np.deg2rad(self.shear))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) * (self.extent / size)
        if self.flip:
            matrix = matrix @ np.diag([-1.0, 1.0])
        offset = np.asarray(self.center) - matrix @ np.full(2, size / 2)
        rows = np.concatenate([matrix, offset[:, None]], axis=1)
        is_mask = image.mode == "L"
        rendered = image.transform(
            (size, size),
            Image.Transform.AFFINE,
            tuple(rows.reshape(-1)),
            Image.Resampling.NEAREST if is_mask else Image.Resampling.BILINEAR,
            fillcolor=0 if is_mask else FILL,
        )
        return np.asarray(rendered)


def recolored(image: Image.Image, rng: np.random.Generator, amount: float = 0.2) -> Image.Image:
    """Changes brightness, contrast and colour by up to `amount` each."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(1.0 + rng.uniform(-amount, amount))
    return image


def recolored_like(
    image: Image.Image, shown: np.ndarray, model: np.ndarray, rng: np.random.Generator
) -> Image.Image:
    """Gives an image the mean and the spread of colour that other pixels have.

    Args:
        image: RGB.
        shown: (h, w) bool, the pixels whose colours are compared.
        model: (n, 3) RGB, the pixels to look like; none for no change.
        rng: Draws how far the change goes, from half to the whole way.
    """
    pixels = np.asarray(image, np.float32)
    own = pixels[shown]
    if not len(own) or not len(model):
        return image
    spread = np.clip((model.std(axis=0) + 1) / (own.std(axis=0) + 1), 0.4, 2.5)
    alike = (pixels - own.mean(axis=0)) * spread + model.mean(axis=0)
    share = rng.uniform(0.5, 1.0)
    mixed = share * alike + (1 - share) * pixels
    return Image.fromarray(np.clip(mixed.round(), 0, 255).astype(np.uint8))
