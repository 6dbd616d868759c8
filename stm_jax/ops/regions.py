"""Where an object is, at stride 16: positions that its mask reaches, and boxes around them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def object_positions(
    masks: Float[Array, "*b h w"], stride: int = 16, threshold: float = 0.5
) -> Bool[Array, "*b h16 w16"]:
    """Returns the positions in whose cell a mask reaches the threshold (RMNet: 0.5) anywhere.

    Args:
        masks: Soft masks; sides are multiples of the stride.
        stride: The side of a position's cell, in pixels.
        threshold: The least probability of a pixel of the object.
    """
    *batch, height, width = masks.shape
    cells = masks.reshape(*batch, height // stride, stride, width // stride, stride)
    return (cells >= threshold).any(axis=(-3, -1))


def boxes(positions: Bool[Array, "*b h w"], margin: float = 0.0) -> Bool[Array, "*b h w"]:
    """Returns what is within the margin of the box around the true positions of each plane.

    The distance is Euclidean, so corners are rounded. A plane without a true position gives all
    of it, as in RMNet's code: the object may be anywhere.
    """
    rows = _beyond(positions.any(axis=-1))
    columns = _beyond(positions.any(axis=-2))
    return jnp.square(rows)[..., :, None] + jnp.square(columns)[..., None, :] <= margin**2


def _beyond(occupied: Bool[Array, "*b n"]) -> Int[Array, "*b n"]:
    """Returns how far each place is from the span between the first and last occupied one.

    With no occupied place at all, the span is everything: argmax is then 0 from both ends.
    """
    places = jnp.arange(occupied.shape[-1])
    first = occupied.argmax(axis=-1, keepdims=True)
    last = places[-1] - jnp.flip(occupied, axis=-1).argmax(axis=-1, keepdims=True)
    return jnp.maximum(jnp.maximum(first - places, places - last), 0)


def places(height: int, width: int) -> Int[Array, "h*w 2"]:
    """Returns row and column of every position, in reading order."""
    return jnp.stack(jnp.unravel_index(jnp.arange(height * width), (height, width)), axis=-1)
