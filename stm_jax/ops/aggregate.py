"""Soft aggregation: one label map from the separate answers of several objects."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

CLAMP = 1e-7


def aggregate(
    log_odds: Float[Array, "*b o h w"], present: Bool[Array, "*b o"]
) -> Float[Array, "*b o+1 h w"]:
    """Joins objects and background into logits whose softmax sums to one at every pixel.

    As in the original implementation (RGMP, Oh et al., CVPR 2018, soft aggregation): the
    background's probability is the product of (1 - p), everything is clamped to
    [1e-7, 1 - 1e-7] and turned into log(p / (1 - p)). Always in float32: 1 - 1e-7 is 1 in
    bfloat16.

    Args:
        log_odds: Each object against its own background; p is its sigmoid.
        present: Which objects are real. A padded one gets probability exactly 0.

    Returns:
        Logits of background and objects, float32; those of absent objects are the smallest
        finite number.
    """
    log_odds = log_odds.astype(jnp.float32)
    exists = present[..., None, None]
    probability = jnp.where(exists, jax.nn.sigmoid(log_odds), 0.0)
    # sigmoid(-x) rather than 1 - sigmoid(x), which rounds to 0 from x = 17 on.
    absence = jnp.where(exists, jax.nn.sigmoid(-log_odds), 1.0)
    background = jnp.prod(absence, axis=-3, keepdims=True)
    joined = jnp.concatenate([background, probability], axis=-3)  # (.., 1 + o, h, w)
    joined = jnp.clip(joined, CLAMP, 1.0 - CLAMP)
    logits = jnp.log(joined / (1.0 - joined))
    exists = jnp.concatenate([jnp.ones_like(exists[..., :1, :, :]), exists], axis=-3)
    return jnp.where(exists, logits, jnp.finfo(jnp.float32).min)


def others(masks: Float[Array, "*b o h w"]) -> Float[Array, "*b o h w"]:
    """Returns, for each object, the clamped sum of the other objects' masks.

    The background is not among `masks`, so it is not among the others.
    """
    # Summed one by one rather than total minus own: a difference leaves rounding behind.
    count = masks.shape[-3]
    keep = 1.0 - jnp.eye(count, dtype=masks.dtype)
    return jnp.clip(jnp.einsum("ij,...jhw->...ihw", keep, masks), 0.0, 1.0)
