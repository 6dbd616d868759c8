"""Padding to the network's stride, and back."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Shaped

STRIDE = 16


class Padding(NamedTuple):
    """How many pixels were added on each side."""

    top: int
    bottom: int
    left: int
    right: int


def padding_to_stride(height: int, width: int) -> Padding:
    """Returns the padding to multiples of 16; the odd pixel goes to the bottom and right."""
    rows, columns = -height % STRIDE, -width % STRIDE
    return Padding(rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)


def pad(planes: Shaped[Array, "*b h w"], padding: Padding) -> Shaped[Array, "*b h2 w2"]:
    """Adds zeros around the last two axes."""
    edges = [(0, 0)] * (planes.ndim - 2)
    edges += [(padding.top, padding.bottom), (padding.left, padding.right)]
    return jnp.pad(planes, edges)


def pad_frames(frames: Shaped[Array, "*b h w c"], padding: Padding) -> Shaped[Array, "*b h2 w2 c"]:
    """Adds zeros around rows and columns of frames whose channels come last.

    This comes before normalising, as in the original implementation: the padding is black.
    """
    return jnp.moveaxis(pad(jnp.moveaxis(frames, -1, 0), padding), 0, -1)


def crop(planes: Shaped[Array, "*b h2 w2"], padding: Padding) -> Shaped[Array, "*b h w"]:
    """Takes the padding off the last two axes."""
    height, width = planes.shape[-2:]
    return planes[..., padding.top : height - padding.bottom, padding.left : width - padding.right]
