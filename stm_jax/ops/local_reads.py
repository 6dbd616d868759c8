"""Reads that know where positions lie: kernelized, regional, and within a window.

All three compute the scores of all pairs of positions and change or mask them, so time and
temporary memory are as of `read_dense`. They change what is read, not what it costs.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from stm_jax.ops.memory_read import (
    Answer,
    Regions,
    in_filled,
    scores,
    softmax_where,
    weighted_sum,
)

FAR = 2**30  # beyond any squared distance of positions


@dataclasses.dataclass(frozen=True)
class KernelizedRead:
    """Every memory position is read around the query position that fits it best.

    Seong, Hyun and Kim, "Kernelized Memory Network for Video Object Segmentation" (KMN), ECCV
    2020, section 3.2. With s the dot product over sqrt(key channels), best(p) the query position
    where s(p, .) is largest, and g(q, p) = exp(-|q - best(p)|^2 / (2 sigma^2)):

        weight(p, q) = exp(s(p, q)) g(q, p) / sum over p' of exp(s(p', q)) g(q, p')

    The authors have published no code. Here log g is added to s before one softmax, which is
    the same and cannot divide 0 by 0. Of several best query positions the first in reading order
    counts. With sigma infinite this is the dense read.

    Has gradients, with the best positions held fixed.

    Attributes:
        sigma: In positions at stride 16, at least 0.001 (paper: 7); `math.inf` is allowed.
    """

    sigma: float = 7.0

    def __post_init__(self) -> None:
        if not self.sigma >= 1e-3:
            raise ValueError(f"sigma must be at least 0.001 positions, not {self.sigma}")

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory_keys: Float[Array, "slots mh mw key"],
        memory_values: Float[Array, "slots mh mw value"],
        filled: Bool[Array, " slots"],
        *,
        regions: Regions | None = None,
        with_mass: bool = False,
    ) -> Answer:
        """Arguments and result are those of `Read`."""
        del regions
        found = scores(query_key, memory_keys)
        allowed = in_filled(filled, memory_keys)
        places = _places(*query_key.shape[:2])
        away = jnp.square(places[:, None] - places[found.argmax(axis=0)]).sum(axis=-1)
        # Less the least of a query position: where all are large, scores would be rounded off.
        away = away - jnp.min(away, axis=1, keepdims=True, where=allowed, initial=FAR)
        log_kernel = -0.5 / jnp.square(jnp.float32(self.sigma)) * away
        weights = softmax_where(allowed, found + log_kernel)
        return weighted_sum(weights, query_key, memory_values, with_mass)


@dataclasses.dataclass(frozen=True)
class RegionalRead:
    """Memory and query meet only where the object was: in boxes around its masks.

    Xie et al., "Efficient Regional Memory Network for Video Object Segmentation" (RMNet), CVPR
    2021, section 3.3. A region is what lies within `margin` of the box around the object's
    positions, corners rounded; all of the frame where it has none (see `boxes`). A query position
    in the query's region reads, as `read_dense` does, the memory positions in their slots'
    regions. One outside has the key 0, as in the authors' code, so it reads all of those alike.

    Unlike in the authors' code: regions come from positions at stride 16 rather than pixels;
    the query's is around the previous mask, without optical flow; query values, which no read
    sees, are not set to 0 outside of it; and memory positions outside their regions weigh 0.
    There they have the key 0 and the value 0, and keep the weight of a score of 0: `zeroed` does
    that. With boxes that cover all this is the dense read, either way.

    Has gradients, with the regions held fixed.

    Attributes:
        margin: In positions at stride 16 (the authors' 64 pixels: 4).
        zeroed: Whether positions outside are set to 0 rather than left out.
    """

    margin: float = 4.0
    zeroed: bool = False

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise ValueError(f"the margin of a region must be at least 0, not {self.margin}")

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory_keys: Float[Array, "slots mh mw key"],
        memory_values: Float[Array, "slots mh mw value"],
        filled: Bool[Array, " slots"],
        *,
        regions: Regions | None = None,
        with_mass: bool = False,
    ) -> Answer:
        """Arguments and result are those of `Read`. Raises ValueError without regions."""
        if regions is None:
            raise ValueError("RegionalRead needs to be told the regions: where the object is")
        in_query = boxes(regions.query, self.margin)[..., None]
        in_memory = boxes(regions.memory, self.margin)
        found = scores(jnp.where(in_query, query_key, 0), memory_keys)
        allowed = in_filled(filled, memory_keys)
        if self.zeroed:
            found = jnp.where(in_memory.reshape(1, -1), found, 0.0)
            memory_values = jnp.where(in_memory[..., None], memory_values, 0)
        else:
            allowed = allowed & in_memory.reshape(1, -1)
        return weighted_sum(softmax_where(allowed, found), query_key, memory_values, with_mass)


@dataclasses.dataclass(frozen=True)
class WindowRead:
    """A query position reads only memory positions within a radius of its own place.

    The window of local matching (FEELVOS, Voigtlaender et al., CVPR 2019, section 3.4; AOT's
    short-term attention, Yang et al., NeurIPS 2021, radius 7), around the same place in every
    remembered frame, with STM's softmax over all of them:

        weight(p, q) = exp(s(p, q)) / sum over p' near q of exp(s(p', q)), 0 for p not near q

    where near means that neither rows nor columns differ by more than the radius. Both methods
    window the previous frame only and read others in full, or by other means. With a radius of
    the longer side this is the dense read.

    Has gradients. The memory must have the query's rows and columns.

    Attributes:
        radius: In positions at stride 16; 0 reads the very same place.
    """

    radius: int = 7

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ValueError(f"the radius of a window must be at least 0, not {self.radius}")

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory_keys: Float[Array, "slots h w key"],
        memory_values: Float[Array, "slots h w value"],
        filled: Bool[Array, " slots"],
        *,
        regions: Regions | None = None,
        with_mass: bool = False,
    ) -> Answer:
        """Arguments and result are those of `Read`.

        Raises:
            ValueError: The memory is not of frames of the query's size.
        """
        del regions
        size, memory_size = query_key.shape[:2], memory_keys.shape[1:3]
        if size != memory_size:
            raise ValueError(
                f"WindowRead needs a memory of frames of {size[0]}x{size[1]} positions like the "
                f"query's, not {memory_size[0]}x{memory_size[1]}: it has no places otherwise"
            )
        places = _places(*size)
        near = (jnp.abs(places[:, None] - places) <= self.radius).all(axis=-1)  # (h*w, h*w)
        allowed = jnp.tile(near, (1, filled.shape[0])) & in_filled(filled, memory_keys)
        weights = softmax_where(allowed, scores(query_key, memory_keys))
        return weighted_sum(weights, query_key, memory_values, with_mass)


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


def _places(height: int, width: int) -> Int[Array, "h*w 2"]:
    """Returns row and column of every position, in reading order."""
    return jnp.stack(jnp.unravel_index(jnp.arange(height * width), (height, width)), axis=-1)
