"""One answer from two passes and what is given; and how certain it is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from stm_jax.annotate.annotations import Annotation


class Soft(NamedTuple):
    """Probabilities of one frame.

    Attributes:
        ids: 0 for the background, then those of the objects, ascending.
        planes: Of each; they sum to 1 at every pixel.
    """

    ids: tuple[int, ...]
    planes: Float[np.ndarray, "ids height width"]

    @property
    def labels(self) -> UInt8[np.ndarray, "height width"]:
        """The most probable id of each pixel."""
        return np.array(self.ids, np.uint8)[self.planes.argmax(axis=0)]


class Certainty(NamedTuple):
    """How certain a frame's answer about an object is, within 0 and 1.

    The margin of a pixel is its largest probability less the second.

    Attributes:
        inside: The mean margin over the object's pixels. Where it has none: 1 less twice the
            largest probability that it has anywhere, 0 at least.
        edge: The mean margin over the pixels that touch its outline from within or without; as
            `inside` where it has none.
    """

    inside: float
    edge: float


def sorted_by_id(object_ids: Sequence[int], planes: np.ndarray) -> Soft:
    """Returns the probabilities of background and objects as a `Segmenter` gives them."""
    order = np.argsort(object_ids, kind="stable")
    planes = planes[np.concatenate([[0], 1 + order])] if len(order) else planes
    return Soft((0, *sorted(object_ids)), planes)


def fused(forward: Soft, backward: Soft, weights: Mapping[int, float]) -> Soft:
    """Returns one answer from that of a forward and that of a backward pass.

    Each id's probability is proportional to f^w b^(1 - w), where f and b are those of the two
    passes: so the log-odds between any two ids of equal weight are the weighted means of the
    passes'. Both are rounded to 1/255 before, which bounds how certain a single pass can be.

    Args:
        forward: The one answer.
        backward: The other.
        weights: w of each id, 1 or 0 where only one of the passes knows it.
    """
    ids = tuple(sorted({*forward.ids, *backward.ids}))
    scores = np.zeros((len(ids), *forward.planes.shape[1:]), np.float32)
    for score, each in zip(scores, ids, strict=True):
        for soft, weight in ((forward, weights[each]), (backward, 1 - weights[each])):
            if weight:
                score += np.float32(weight) * _logarithms(soft.planes[soft.ids.index(each)])
    scores = np.exp(scores - scores.max(axis=0))
    return Soft(ids, scores / scores.sum(axis=0))


def rounded(planes: Float[np.ndarray, "ids h w"]) -> Float[np.ndarray, "ids h w"]:
    """Returns probabilities in steps of 1/255, as they are kept for the other pass.

    These steps survive half precision, in which they are written.
    """
    return np.round(planes * 255) / 255


def given(estimate: Soft | None, annotation: Annotation) -> Soft:
    """Returns the probabilities of an annotated frame: what is given is certain.

    What an estimate has of the objects that the annotation speaks of goes to the background.
    """
    others = (
        [] if estimate is None else [i for i in estimate.ids if i and i not in annotation.objects]
    )
    ids = tuple(sorted({0, *annotation.objects, *others}))
    planes = np.zeros((len(ids), *annotation.mask.shape), np.float32)
    for each in annotation.objects:
        planes[ids.index(each)] = annotation.mask == each
    free = annotation.mask == 0
    for each in others:
        assert estimate is not None
        planes[ids.index(each)] = estimate.planes[estimate.ids.index(each)] * free
    planes[0] = np.maximum(1 - planes[1:].sum(axis=0), 0)
    return Soft(ids, planes)


def certainties(soft: Soft) -> dict[int, Certainty]:
    """Returns the certainty about each object."""
    if len(soft.ids) == 1:
        return {}
    two = np.partition(soft.planes, -2, axis=0)[-2:]
    margin, labels = two[1] - two[0], soft.labels
    found = {}
    for each, plane in zip(soft.ids[1:], soft.planes[1:], strict=True):
        inside = labels == each
        if not inside.any():
            least = max(0.0, 1 - 2 * float(plane.max()))
            found[each] = Certainty(round(least, 4), round(least, 4))
            continue
        outline = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
        edge = margin[outline > 0].mean() if outline.any() else margin[inside].mean()
        found[each] = Certainty(round(float(margin[inside].mean()), 4), round(float(edge), 4))
    return found


def _logarithms(plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    return LOGARITHMS[np.round(plane * 255).astype(np.uint8)]


LOGARITHMS = np.log((np.arange(256, dtype=np.float32) + 0.5) / 256)
"""Of probabilities in steps of 1/255, none of them 0."""
