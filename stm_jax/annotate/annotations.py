"""A frame that somebody has annotated: a mask, and the objects that it speaks of."""

import dataclasses
import functools
import hashlib
from collections.abc import Collection

import numpy as np
from jaxtyping import UInt8

from stm_jax.errors import InputError

MOST_ID = 254  # 255 is void in masks


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """What is known of one frame.

    Attributes:
        mask: (H, W) uint8 ids of the objects, read only.
        objects: The ids that it speaks of: an object of them that the mask does not show is not in
            the frame. Of others it says nothing, but that they are not where it shows these.
    """

    mask: UInt8[np.ndarray, "height width"]
    objects: frozenset[int]

    @functools.cached_property
    def shown(self) -> frozenset[int]:
        """The objects that it shows."""
        return frozenset(np.unique(self.mask).tolist()) - {0}

    def of(self, objects: Collection[int]) -> "Annotation":
        """Returns what it says of these objects alone."""
        if self.objects <= set(objects):
            return self
        told = self.objects & frozenset(objects)
        return annotation(np.where(np.isin(self.mask, list(told)), self.mask, 0), told)

    @functools.cached_property
    def digest(self) -> str:
        """A hash of all that it says."""
        about = repr((self.mask.shape, sorted(self.objects)))
        return hashlib.sha256(about.encode() + self.mask.tobytes()).hexdigest()


def annotation(mask: np.ndarray, objects: Collection[int] | None = None) -> Annotation:
    """Returns an annotation.

    Args:
        mask: (H, W) ids, 0 to 254.
        objects: Those that it speaks of, besides those that it shows.

    Raises:
        InputError: An id is none, or it speaks of no object.
    """
    mask = np.array(mask)
    if mask.ndim != 2 or mask.dtype.kind not in "iu" or mask.min(initial=0) < 0:
        raise InputError(f"a mask must be (H, W) ids, not {mask.shape} {mask.dtype}")
    told = frozenset(np.unique(mask).tolist()) - {0} | frozenset(objects or ())
    if not told:
        raise InputError(
            "the mask is empty and speaks of no object: mark one, or say which are not there"
        )
    if min(told) < 1 or max(told) > MOST_ID:
        raise InputError(f"object ids are 1 to {MOST_ID}, not {sorted(told)}")
    mask = np.ascontiguousarray(mask, np.uint8)
    mask.flags.writeable = False
    return Annotation(mask, told)
