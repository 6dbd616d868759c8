"""Where an object is: positions that its mask reaches, boxes around them, connected parts."""

import jax
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
    # Along columns first: what is left to be turned about is a stride's part of it.
    rows = masks.reshape(*batch, height // stride, stride, width).max(axis=-2)
    cells = rows.reshape(*batch, height // stride, width // stride, stride)
    return cells.max(axis=-1) >= threshold


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


def corners(inside: Bool[Array, "*b h w"]) -> Float[Array, "*b 4"]:
    """Returns top, left, bottom and right of the box around what is true in each plane.

    Bottom and right are behind the last true position. Zeros for a plane without any.
    """
    spans = []
    for occupied in (inside.any(axis=-1), inside.any(axis=-2)):
        last = occupied.shape[-1] - jnp.flip(occupied, axis=-1).argmax(axis=-1)
        spans += [occupied.argmax(axis=-1), jnp.where(occupied.any(axis=-1), last, 0)]
    top, bottom, left, right = spans
    return jnp.stack([top, left, bottom, right], axis=-1).astype(jnp.float32)


def overlap(one: Float[Array, " 4"], other: Float[Array, " 4"]) -> Float[Array, ""]:
    """Returns the intersection over union of two boxes of `corners`; 0 where both are empty."""
    sides = jnp.minimum(one[2:], other[2:]) - jnp.maximum(one[:2], other[:2])
    common = jnp.maximum(sides, 0).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - common
    return common / jnp.where(union > 0, union, 1.0)


def parts(inside: Bool[Array, "h w"]) -> Int[Array, "h w"]:
    """Returns a number for every connected part, the same in all of it; 0 where nothing is true.

    Positions are neighbours along edges and corners. The number is 1 + the place, in reading
    order, of the last position of a part. It takes as many turns as its longest way has steps.
    """
    count = inside.shape[0] * inside.shape[1]
    begin = jnp.where(inside, 1 + jnp.arange(count).reshape(inside.shape), 0)

    def spread(state: tuple[Array, Array]) -> tuple[Array, Array]:
        numbers, _ = state
        around = jax.lax.reduce_window(numbers, 0, jax.lax.max, (3, 3), (1, 1), "SAME")
        new = jnp.where(inside, around, 0)
        return new, (new != numbers).any()

    return jax.lax.while_loop(lambda state: state[1], spread, (begin, inside.any()))[0]
