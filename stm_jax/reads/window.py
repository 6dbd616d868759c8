"""A read of what is near the same place."""

import dataclasses

import jax.numpy as jnp

from stm_jax.ops.regions import places
from stm_jax.reads.affinity import in_filled, scores, softmax_where, weighted_sum
from stm_jax.reads.protocol import Answer, Read


@dataclasses.dataclass(frozen=True)
class Window(Read):
    """Only memory positions within a radius of the query position's own place.

    The window of local matching (FEELVOS, Voigtlaender et al., CVPR 2019, section 3.4; AOT's
    short-term attention, Yang et al., NeurIPS 2021, radius 7), around the same place in every
    remembered frame, with STM's softmax over all of them:

        weight(p, q) = exp(s(p, q)) / sum over p' near q of exp(s(p', q)), 0 for p not near q

    where near means that neither rows nor columns differ by more than the radius. Both methods
    window the previous frame only and read others in full, or by other means. With a radius of
    the longer side this is the dense read.

    The memory must have the query's rows and columns.

    Source: FEELVOS (CVPR 2019); AOT (NeurIPS 2021).
    Gradient: yes.
    Temporary memory: all slots.

    Attributes:
        radius: In positions at stride 16; 0 reads the very same place.
    """

    radius: int = 7

    def __post_init__(self) -> None:
        if self.radius < 0:
            raise ValueError(f"the radius of a window must be at least 0, not {self.radius}")

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`.

        Raises:
            ValueError: The memory is not of frames of the query's size.
        """
        size, memory_size = query_key.shape[:2], memory.keys.shape[1:3]
        if size != memory_size:
            raise ValueError(
                f"Window needs a memory of frames of {size[0]}x{size[1]} positions like the "
                f"query's, not {memory_size[0]}x{memory_size[1]}: it has no places otherwise"
            )
        at = places(*size)
        near = (jnp.abs(at[:, None] - at) <= self.radius).all(axis=-1)  # (h*w, h*w)
        allowed = jnp.tile(near, (1, memory.filled.shape[0])) & in_filled(memory)
        weights = softmax_where(allowed, scores(query_key, memory.keys))
        return weighted_sum(weights, query_key, memory, with_mass)
