"""The distance of keys with shrinkage and selection, as XMem's."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.similarities.protocol import Similarity


@dataclasses.dataclass(frozen=True)
class AnisotropicL2(Similarity):
    """The distance of keys, its channels selected by the query and shrunk by the memory.

    Cheng and Schwing, "XMem: Long-Term Video Object Segmentation with an Atkinson-Shiffrin Memory
    Model", ECCV 2022, the "anisotropic L2" of its memory reading, over sqrt(C) as in its code:

        s(k, q) = -shrinkage(k) sum over c of selection(q)_c (k_c - q_c)^2 / sqrt(C)

    Each memory position has a shrinkage, x^2 + 1 of a head's output x: how confident its key is.
    Each query position has a selection, the sigmoid of a head's output, for every channel: which
    channels tell.

    Unlike in XMem: the heads sit on STM's two encoders, so that each object's memory has a
    shrinkage of its own, where XMem's one key encoder, which sees no masks, gives key, shrinkage
    and selection of every frame. What the shrinkage's head gives, x, is remembered as the last
    channel of the key: rules and stores that compare or merge keys take it for a channel, and the
    prototypes of the store `XMem` keep their own, where XMem's are given a weighted sum.

    The features have 2 C + 1 channels, so that scores take twice the time of the dot product's, as
    in XMem's code, and are float32 in any network.

    Source: XMem (ECCV 2022).
    Learns: two heads, shrinkage and selection.
    """

    def memory_heads(self, channels: int) -> dict[str, int]:
        """One number a position."""
        return {"shrinkage": 1}

    def query_heads(self, channels: int) -> dict[str, int]:
        """One number a channel."""
        return {"selection": channels}

    def of_query(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions 2*key+1"]:
        """Returns [2 e q, -e, -sum of e q^2], with e the selection, of keys to scale."""
        key = _to_scale(key)
        selection = jax.nn.sigmoid(learnt["selection"].astype(jnp.float32))
        squared = (selection * jnp.square(key)).sum(axis=-1, keepdims=True)
        return jnp.concatenate([2 * selection * key, -selection, -squared], axis=-1)

    def of_memory(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions 2*key+1"]:
        """Returns [s k, s k^2, s], with s the shrinkage, of keys to scale."""
        key = _to_scale(key)
        shrinkage = jnp.square(learnt["shrinkage"].astype(jnp.float32)) + 1
        return jnp.concatenate([shrinkage * key, shrinkage * jnp.square(key), shrinkage], axis=-1)


def _to_scale(key: Float[Array, "*positions key"]) -> Float[Array, "*positions key"]:
    """Returns keys whose score over sqrt(2 key + 1) is that of the given ones over sqrt(key)."""
    channels = key.shape[-1]
    return key.astype(jnp.float32) * (2 + 1 / channels) ** 0.25
