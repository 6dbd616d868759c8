"""A picture and its mask, a video of them: where they lie, decoded only when they are wanted."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from stm_jax.data.coco import Outlines
from stm_jax.data.image_files import Encoded, decoded_rgb, opened, upright_size
from stm_jax.data.mask_values import VOID
from stm_jax.data.truth_masks import read_truth
from stm_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Sample:
    """A picture and its mask, encoded.

    Attributes:
        image: The RGB picture.
        mask: The mask, as `read_truth` takes it; or the outlines that it is drawn from.
        merged: Whether all objects count as one, as of `read_truth`.
    """

    image: Encoded
    mask: Encoded | Outlines
    merged: bool = False

    def read(
        self,
    ) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """Decodes both: RGB, and ids; void is background.

        Raises:
            InputError: A file is missing or damaged, or their sizes differ: it is named.
        """
        ids = self.ids()
        return self.rgb(ids.shape), ids

    def read_with_object(
        self,
    ) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width"]]:
        """As `read`, but a mask that shows no object is an InputError as well."""
        ids = self.ids_with_object()
        return self.rgb(ids.shape), ids

    def rgb(
        self, size: tuple[int, ...], shrink: int = 1
    ) -> UInt8[np.ndarray, "shrunk_height shrunk_width 3"]:
        """Decodes the picture as `read_rgb` does.

        Args:
            size: (height, width) of its mask, which must be the picture's.
            shrink: 2, 4 or 8 for a picture so many times smaller, which a JPEG decodes to
                faster; another format is not shrunk.

        Raises:
            InputError: The file is missing or damaged, or of another size.
        """
        with opened(self.image) as image:
            height, width = upright_size(image)
            if (height, width) != size:
                raise InputError(
                    f"{self._name_of_mask()} is {size[1]}x{size[0]} but its image "
                    f"{self.image.name} is {width}x{height}; make their sizes equal"
                )
            return decoded_rgb(image, shrink)

    def ids(self) -> UInt8[np.ndarray, "height width"]:
        """Returns the mask alone, as ids; raises InputError if it cannot be read."""
        if isinstance(self.mask, Outlines):
            return self.mask.ids()
        ids = read_truth(self.mask, self.merged)
        void = ids == VOID
        return np.where(void, np.uint8(0), ids) if void.any() else ids

    def ids_with_object(self) -> UInt8[np.ndarray, "height width"]:
        """As `ids`, but a mask that shows no object is an InputError as well."""
        ids = self.ids()
        if not ids.any():
            raise InputError(
                f"{self._name_of_mask()} is empty, it shows background only; remove it and its "
                f"image {self.image.name}"
            )
        return ids

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


def counts_of(mask: UInt8[np.ndarray, "height width"]) -> Int[np.ndarray, "256"]:
    """Returns how many pixels each id has."""
    # A third of the time of np.bincount, which makes int64 of the ids first.
    return cv2.calcHist([mask], [0], None, [256], [0, 256]).reshape(-1).astype(int)


def ids_of(mask: UInt8[np.ndarray, "height width"]) -> UInt8[np.ndarray, " ids"]:
    """Returns the object ids in a mask, without the background, ascending."""
    return 1 + np.flatnonzero(counts_of(mask)[1:]).astype(np.uint8)
