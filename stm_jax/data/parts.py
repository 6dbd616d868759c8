"""Parts of objects as objects of their own: a child's backpack, a rider and the horse.

From masks of whole things alone a network never learns that what touches and moves together may
still be two things.
"""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from stm_jax.data.samples import ids_of
from stm_jax.data.views import box_of

SIZES = (0.08, 0.5)  # of the object's pixels
FINEST = 192  # pixels of the longer side at which a part is told by its colours
NEARNESS = (1.0, 6.0)  # what a way across the whole object counts, in deviations of its colours


def with_a_part(
    picture: UInt8[np.ndarray, "shrunk_height shrunk_width 3"],
    ids: UInt8[np.ndarray, "height width"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width"]:
    """Returns ids among which a part of one object has an id of its own, the next.

    The part is what is nearest to some pixel of the object, by colour and by way.

    Args:
        picture: RGB; it may be smaller than its mask.
        ids: The objects of the picture, one at least.
        rng: Draws the object, the pixel, and how large the part is.
    """
    shown = ids_of(ids)
    mask = ids == rng.choice(shown)
    rows, columns = box_of(mask) or (slice(None), slice(None))
    inside = mask[rows, columns]
    scale = min(1.0, FINEST / max(inside.shape))
    small = tuple(max(1, round(side * scale)) for side in inside.shape)
    # What the box shows of the picture, at that size.
    of_picture = [side / whole for side, whole in zip(picture.shape, ids.shape, strict=False)]
    shown_rows, shown_columns = (
        slice(int(side.start * share), max(int(side.start * share) + 1, int(side.stop * share)))
        for side, share in zip((rows, columns), of_picture, strict=True)
    )
    colors = cv2.resize(
        picture[shown_rows, shown_columns], small[::-1], interpolation=cv2.INTER_AREA
    )
    there = cv2.resize(inside.view(np.uint8), small[::-1], interpolation=cv2.INTER_NEAREST) > 0
    if not there.any():
        return ids
    part = _part(cv2.blur(colors, (3, 3)), there, rng).astype(np.float32)
    large = cv2.resize(part, inside.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    parted = ids.copy()
    parted[rows, columns][large & inside] = shown[-1] + 1
    return parted


def _part(
    colors: UInt8[np.ndarray, "h w 3"], there: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> UInt8[np.ndarray, "h w"]:
    """Returns 1 where the part is; some pixel is `there`."""
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB).astype(np.float32)
    places = np.argwhere(there)
    row, column = places[rng.integers(len(places))]
    deviation = np.maximum(lab[there].std(axis=0), 1)
    off = np.square((lab - lab[row, column]) / deviation).sum(axis=-1)
    heights, widths = np.ogrid[: there.shape[0], : there.shape[1]]
    way = (heights - row) ** 2 + (widths - column) ** 2
    nearness = np.exp(rng.uniform(*np.log(NEARNESS)))
    distance = off + nearness**2 * 12 * way / (there.shape[0] ** 2 + there.shape[1] ** 2)
    farthest = np.quantile(distance[there], np.exp(rng.uniform(*np.log(SIZES))))
    near = (there & (distance <= farthest)).view(np.uint8)
    # In one piece and without specks and holes, as somebody would mark it.
    near = cv2.morphologyEx(cv2.medianBlur(near, 5), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, pieces, boxes, _ = cv2.connectedComponentsWithStats(near)
    largest = 1 + boxes[1:, cv2.CC_STAT_AREA].argmax() if len(boxes) > 1 else -1
    return (pieces == largest).view(np.uint8)
