"""STM's similarity, with gates for a memory that forgets."""

import dataclasses

from stm_jax.similarities.dot_product import DotProduct


@dataclasses.dataclass(frozen=True)
class Gated(DotProduct):
    """The dot product, and a gate of every channel for the memory `livos`.

    The gate is of no score: it is a head beside the memory's key, which is remembered behind it,
    and says how much of a channel is kept when its frame comes (Liu et al., "LiVOS: Light Video
    Object Segmentation with Gated Linear Matching", CVPR 2025, section 3.3). Other memories hold it
    and make nothing of it. It is here, for what a network learns for its memory is asked for by its
    similarity.

    Source: LiVOS (CVPR 2025).
    Learns: one head, the gate.
    """

    def memory_heads(self, channels: int) -> dict[str, int]:
        """One number a channel."""
        return {"gate": channels}
