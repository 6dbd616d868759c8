"""A read of where the object was, in RMNet's way."""

import dataclasses

import jax.numpy as jnp

from stm_jax.ops.regions import boxes
from stm_jax.reads.affinity import in_filled, scores, softmax_where, weighted_sum
from stm_jax.reads.protocol import Answer, Read


@dataclasses.dataclass(frozen=True)
class Regional(Read):
    """Where the object was: memory and query meet only in boxes around its masks.

    Xie et al., "Efficient Regional Memory Network for Video Object Segmentation" (RMNet), CVPR
    2021, section 3.3. A region is what lies within `margin` of the box around the object's
    positions, corners rounded; all of the frame where it has none (see `boxes`). A query position
    in the query's region reads, as `Dense` does, the memory positions in their slots'
    regions. One outside has the key 0, as in the authors' code, so it reads all of those alike.

    Unlike in the authors' code: regions come from positions at stride 16 rather than pixels;
    the query's is around the previous mask, without optical flow; query values, which no read
    sees, are not set to 0 outside of it; and memory positions outside their regions weigh 0.
    There they have the key 0 and the value 0, and keep the weight of a score of 0: `zeroed` does
    that, which is of dot products and cosines: no distance is nearer than a score of 0. With boxes
    that cover all this is the dense read, either way.

    Source: RMNet (CVPR 2021).
    Gradient: yes, with the regions held fixed.
    Temporary memory: all slots.

    Attributes:
        margin: In positions at stride 16 (the authors' 64 pixels: 4).
        zeroed: Whether positions outside are set to 0 rather than left out.
    """

    margin: float = 4.0
    zeroed: bool = False

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise ValueError(f"the margin of a region must be at least 0, not {self.margin}")

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`. Raises ValueError without regions."""
        if memory.region is None or expected is None:
            raise ValueError("Regional needs to be told the regions: where the object is")
        in_query = boxes(expected, self.margin)[..., None]
        in_memory = boxes(memory.region, self.margin)
        found = scores(jnp.where(in_query, query_key, 0), memory.keys)
        allowed = in_filled(memory)
        if self.zeroed:
            found = jnp.where(in_memory.reshape(1, -1), found, 0.0)
            memory = memory._replace(values=jnp.where(in_memory[..., None], memory.values, 0))
        else:
            allowed = allowed & in_memory.reshape(1, -1)
        return weighted_sum(softmax_where(allowed, found), query_key, memory, with_mass)
