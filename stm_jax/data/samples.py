"""An image and its mask, a video of them: where they lie, decoded only when they are wanted."""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from stm_jax.data.coco import Outlines
from stm_jax.data.masks import VOID
from stm_jax.data.truths import read_truth
from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image and its mask on disk.

    Attributes:
        image: The RGB image.
        mask: The file of the mask, of whatever kind; or the outlines that it is drawn from.
        merged: Whether all objects count as one (DAVIS 2016).
    """

    image: pathlib.Path
    mask: pathlib.Path | Outlines
    merged: bool = False

    def read(self) -> tuple[Image.Image, Image.Image]:
        """Decodes both: RGB, and grey levels that are ids; void is background.

        Raises:
            InputError: A file is missing or damaged, or their sizes differ: it is named.
        """
        try:
            # As it is stored, not turned upright by its EXIF: so lies the mask, too.
            image = Image.open(self.image).convert("RGB")
        except Exception as error:  # Pillow raises whatever a decoder stumbles over
            raise InputError(
                f"{self.image} cannot be read ({error}); remove or replace it"
            ) from error
        ids = self.ids()
        if (image.height, image.width) != ids.shape:
            raise InputError(
                f"{self._name_of_mask()} is {ids.shape[1]}x{ids.shape[0]} but its image "
                f"{self.image.name} is {image.width}x{image.height}; make their sizes equal"
            )
        return image, Image.fromarray(ids)

    def ids(self) -> np.ndarray:
        """Returns the mask alone, (h, w) uint8 ids; raises InputError if it cannot be read."""
        if isinstance(self.mask, Outlines):
            return self.mask.ids()
        ids = read_truth(self.mask)
        objects = (ids > 0) & (ids != VOID)
        if not objects.any():  # 255 alone is an object, only beside others it is void
            objects = ids > 0
            ids = objects.astype(np.uint8)
        return (objects if self.merged else np.where(objects, ids, 0)).astype(np.uint8)

    def read_with_object(self) -> tuple[Image.Image, Image.Image]:
        """As `read`, but a mask that shows no object is an InputError as well."""
        image, mask = self.read()
        if mask.getextrema() == (0, 0):
            raise InputError(
                f"{self._name_of_mask()} is empty, it shows background only; remove it and its "
                f"image {self.image.name}"
            )
        return image, mask

    def _name_of_mask(self) -> str:
        if isinstance(self.mask, Outlines):
            return f"the mask of {self.image.name} in {self.mask.file}"
        return str(self.mask)


@dataclasses.dataclass(frozen=True)
class Video:
    """A sequence of frames with their masks, in temporal order.

    Attributes:
        name: As the data set calls it.
        samples: The annotated frames.
        every: How many frames of the video there are from one of them to the next.
    """

    name: str
    samples: tuple[Sample, ...]
    every: int = 1


def ids_of(mask: Image.Image) -> np.ndarray:
    """Returns the object ids in a mask, without the background, ascending."""
    ids = np.unique(np.asarray(mask))
    return ids[ids > 0]
