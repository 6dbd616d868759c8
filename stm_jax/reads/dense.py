"""STM's read: all slots at once."""

import dataclasses

from stm_jax.reads.affinity import affinity, weighted_sum
from stm_jax.reads.protocol import Answer, Read


@dataclasses.dataclass(frozen=True)
class Dense(Read):
    """Every memory position, weighted by the softmax of its dot product with the query.

    The affinity has h*w*slots*mh*mw numbers.

    Source: STM (ICCV 2019).
    Gradient: yes.
    Temporary memory: all slots.
    """

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`."""
        return weighted_sum(affinity(query_key, memory), query_key, memory, with_mass)
