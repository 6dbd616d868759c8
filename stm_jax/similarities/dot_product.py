"""STM's similarity: the default."""

import dataclasses
from collections.abc import Mapping

from jaxtyping import Array, Float

from stm_jax.similarities.protocol import Similarity


@dataclasses.dataclass(frozen=True)
class DotProduct(Similarity):
    """The dot product of the keys over the square root of their channels.

        s(k, q) = k . q / sqrt(C)

    The features are the keys themselves, in the network's dtype.

    Source: STM (ICCV 2019).
    Learns: nothing.
    """

    def of_query(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key"]:
        """Returns the key."""
        return key

    def of_memory(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key"]:
        """Returns the key."""
        return key
