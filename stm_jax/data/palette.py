"""The 256 colours that DAVIS and PASCAL VOC give to object ids."""

import numpy as np
from jaxtyping import UInt8


def davis_palette() -> UInt8[np.ndarray, "256 3"]:
    """Returns the colour (red, green, blue) of every id; id 0, the background, is black.

    The rule is that of the PASCAL VOC development kit (its `VOClabelcolormap`), which DAVIS
    shares: bits 0, 1, 2 of the id become the highest bit of red, green and blue, bits 3, 4, 5
    the next lower bit, bits 6, 7 the one below.
    """
    ids = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for level in range(3):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            palette[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return palette
