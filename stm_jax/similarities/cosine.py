"""The cosine of keys over a temperature that is learnt."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.similarities.protocol import Similarity

LEAST_TEMPERATURE = 0.01
LEAST_LENGTH = 1e-6  # of a key that is divided by it


@dataclasses.dataclass(frozen=True)
class Cosine(Similarity):
    """The cosine of the angle between the keys, over a temperature that is learnt.

    Liu et al., "Swin Transformer V2", CVPR 2022, section 3.2, equation 2, without its bias by
    position; normalised keys with a learnt factor are from Henry et al., "Query-Key Normalization
    for Transformers" (QKNorm), Findings of EMNLP 2020:

        s(k, q) = cos(k, q) / temperature

    One temperature, at least 0.01 as in Swin V2's code, whose parameter it has: the logarithm of
    1 / temperature. Unlike there, weight decay is the same as for all other weights.
    The features are float32 in any network.

    Source: QKNorm (EMNLP Findings 2020); Swin Transformer V2 (CVPR 2022).
    Learns: one number, the temperature.

    Attributes:
        temperature: What it begins as when it is trained (Swin V2: 0.1).
    """

    temperature: float = 0.1

    def __post_init__(self) -> None:
        if not LEAST_TEMPERATURE <= self.temperature < math.inf:
            raise ValueError(
                f"the temperature must be at least {LEAST_TEMPERATURE}, not {self.temperature}"
            )

    def numbers(self) -> dict[str, float]:
        """The logarithm of 1 / temperature."""
        return {"log_scale": -math.log(self.temperature)}

    def of_query(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key"]:
        """Returns q / |q| sqrt(C) / temperature."""
        log_scale = jnp.minimum(learnt["log_scale"], -math.log(LEAST_TEMPERATURE))
        return _normalized(key) * (math.sqrt(key.shape[-1]) * jnp.exp(log_scale))

    def of_memory(
        self, key: Float[Array, "*positions key"], learnt: Mapping[str, Array]
    ) -> Float[Array, "*positions key"]:
        """Returns k / |k|."""
        return _normalized(key)


def _normalized(key: Float[Array, "*positions key"]) -> Float[Array, "*positions key"]:
    key = key.astype(jnp.float32)
    squared = jnp.square(key).sum(axis=-1, keepdims=True)
    return key * jax.lax.rsqrt(jnp.maximum(squared, LEAST_LENGTH**2))
