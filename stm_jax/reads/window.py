"""A read of what is near the same place."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stm_jax.ops.regions import _places
from stm_jax.reads.protocol import Answer, Regions, in_filled, scores, softmax_where, weighted_sum

FAR = 2**30  # beyond any squared distance of positions


@dataclasses.dataclass(frozen=True)
class Window:
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
                f"Window needs a memory of frames of {size[0]}x{size[1]} positions like the "
                f"query's, not {memory_size[0]}x{memory_size[1]}: it has no places otherwise"
            )
        places = _places(*size)
        near = (jnp.abs(places[:, None] - places) <= self.radius).all(axis=-1)  # (h*w, h*w)
        allowed = jnp.tile(near, (1, filled.shape[0])) & in_filled(filled, memory_keys)
        weights = softmax_where(allowed, scores(query_key, memory_keys))
        return weighted_sum(weights, query_key, memory_values, with_mass)
