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
FINE_ENOUGH = 256  # pixels of the picture's longer side, to tell a part by its colours
NEARNESS = (1.0, 6.0)  # what a way counts: of that many deviations, as far as the object's own


def with_a_part(
    picture: UInt8[np.ndarray, "shrunk_height shrunk_width 3"],
    ids: UInt8[np.ndarray, "height width"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "height width"]:
    """Returns ids among which a part of one object is an object, with the next id.

    The part is what is nearest to some pixel of the object, by colour and by way.

    Args:
        picture: RGB; it may be smaller than its mask.
        ids: The objects of the picture, one at least.
        rng: Draws the object, the pixel, and how large the part is.
    """
    shown = ids_of(ids)
    whole = ids == rng.choice(shown)
    seen = cv2.resize(
        whole.view(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT
    )
    box = box_of(seen > 0)
    if box is None:  # too thin for a smaller picture
        return ids
    part = np.zeros(seen.shape, np.float32)
    part[box] = _part(cv2.blur(picture[box], (3, 3)), seen[box] > 0, rng)
    large = cv2.resize(part, ids.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return np.where(large & whole, shown[-1] + np.uint8(1), ids)


def _part(
    colors: UInt8[np.ndarray, "h w 3"], seen: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    lab = cv2.cvtColor(colors, cv2.COLOR_RGB2LAB).astype(np.float32)
    places = np.argwhere(seen)
    begin = places[rng.integers(len(places))]
    deviation = np.maximum(lab[seen].std(axis=0), 1)
    off = np.square((lab - lab[tuple(begin)]) / deviation).sum(axis=-1)
    rows, columns = np.ogrid[: seen.shape[0], : seen.shape[1]]
    way = (rows - begin[0]) ** 2 + (columns - begin[1]) ** 2
    nearness = np.exp(rng.uniform(*np.log(NEARNESS)))
    distance = off + nearness**2 * way / max(places.var(axis=0).sum(), 1)
    farthest = np.quantile(distance[seen], np.exp(rng.uniform(*np.log(SIZES))))
    near = (seen & (distance <= farthest)).view(np.uint8)
    # In one piece and without specks and holes, as somebody would mark it.
    near = cv2.morphologyEx(cv2.medianBlur(near, 5), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, pieces, boxes, _ = cv2.connectedComponentsWithStats(near)
    largest = 1 + np.argmax(boxes[1:, cv2.CC_STAT_AREA]) if len(boxes) > 1 else -1
    return pieces == largest
