"""The negative squared distance of keys, as STCN's."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.similarities.protocol import Similarity


@dataclasses.dataclass(frozen=True)
class NegativeL2(Similarity):
    """The nearer the keys, the more alike: the negative square of their distance.

    Cheng, Tai and Tang, "Rethinking Space-Time Networks with Improved Memory Coverage for
    Efficient Video Object Segmentation" (STCN), NeurIPS 2021, section 3.2:

        s(k, q) = -|k - q|^2 / sqrt(C) = (2 k . q - |k|^2 - |q|^2) / sqrt(C)

    Unlike in the authors' code, |q|^2 is not left out: a softmax over the memory does not see it,
    but `Kernelized` asks which of several query positions is nearest. And STCN has one key encoder
    for query and memory, without masks; here the two keys are STM's, each of its own encoder.

    A score is the sum of the three terms, rounded as they are: to 1e-7 of |k|^2 + |q|^2 over
    sqrt(C), where matrix products are in float32. The features are float32 in any network.

    Source: STCN (NeurIPS 2021).
    Learns: nothing.
    """

    def of_query(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key+2"]:
        """Returns [2 q, -1, -|q|^2] of keys to scale."""
        key = _to_scale(key)
        squared = jnp.square(key).sum(axis=-1, keepdims=True)
        return jnp.concatenate([2 * key, -jnp.ones_like(squared), -squared], axis=-1)

    def of_memory(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key+2"]:
        """Returns [k, |k|^2, 1] of keys to scale."""
        key = _to_scale(key)
        squared = jnp.square(key).sum(axis=-1, keepdims=True)
        return jnp.concatenate([key, squared, jnp.ones_like(squared)], axis=-1)


def _to_scale(key: Float[Array, "*positions key"]) -> Float[Array, "*positions key"]:
    """Returns keys whose score over sqrt(key + 2) is that of the given ones over sqrt(key)."""
    channels = key.shape[-1]
    # Here and not on the features, so that the -1 and the 1 are exact in any precision.
    return key.astype(jnp.float32) * (1 + 2 / channels) ** 0.25
