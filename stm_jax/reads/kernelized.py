"""A read with a Gaussian around each memory position's best query position, as KMN's."""

import dataclasses

import jax.numpy as jnp

from stm_jax.ops.regions import places
from stm_jax.reads.affinity import in_filled, scores, softmax_where, weighted_sum
from stm_jax.reads.protocol import Answer, Read

FAR = 2**30  # beyond any squared distance of positions


@dataclasses.dataclass(frozen=True)
class Kernelized(Read):
    """Every memory position, by a Gaussian around the query position that fits it best.

    Seong, Hyun and Kim, "Kernelized Memory Network for Video Object Segmentation" (KMN), ECCV
    2020, section 3.2. With s the dot product over sqrt(key channels), best(p) the query position
    where s(p, .) is largest, and g(q, p) = exp(-|q - best(p)|^2 / (2 sigma^2)):

        weight(p, q) = exp(s(p, q)) g(q, p) / sum over p' of exp(s(p', q)) g(q, p')

    The authors have published no code. Here log g is added to s before one softmax, which is
    the same and cannot divide 0 by 0. Of several best query positions the first in reading order
    counts. With sigma infinite this is the dense read.

    Source: KMN (ECCV 2020).
    Gradient: yes, with the best positions held fixed.
    Temporary memory: all slots.

    Attributes:
        sigma: In positions at stride 16, at least 0.001 (paper: 7); `math.inf` is allowed.
    """

    sigma: float = 7.0

    def __post_init__(self) -> None:
        if not self.sigma >= 1e-3:
            raise ValueError(f"sigma must be at least 0.001 positions, not {self.sigma}")

    def __call__(self, query_key, memory, expected=None, *, with_mass=False) -> Answer:
        """Arguments and result are those of `Read`."""
        found = scores(query_key, memory.keys)
        allowed = in_filled(memory)
        at = places(*query_key.shape[:2])
        away = jnp.square(at[:, None] - at[found.argmax(axis=0)]).sum(axis=-1)
        # Less the least of a query position: where all are large, scores would be rounded off.
        away = away - jnp.min(away, axis=1, keepdims=True, where=allowed, initial=FAR)
        log_kernel = -0.5 / jnp.square(jnp.float32(self.sigma)) * away
        weights = softmax_where(allowed, found + log_kernel)
        return weighted_sum(weights, query_key, memory, with_mass)
