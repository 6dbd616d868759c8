"""Soft aggregation: one label map from the separate answers of several objects."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

CLAMP = 1e-7
LARGEST = math.log((1 - CLAMP) / CLAMP)


def aggregate(
    log_odds: Float[Array, "*b o h w"], present: Bool[Array, "*b o"]
) -> Float[Array, "*b o+1 h w"]:
    """Joins objects and background into logits whose softmax sums to one at every pixel.

    As in the original implementation (RGMP, Oh et al., CVPR 2018, soft aggregation): the
    background's probability is the product of (1 - p), everything is clamped to
    [1e-7, 1 - 1e-7] and turned into log(p / (1 - p)). Here all of it is computed from log-odds
    and logarithms, which is the same thing without its rounding: 1 - 1e-7 has one bit left in
    float32, and is 1 in bfloat16.

    Args:
        log_odds: Each object against its own background; p is its sigmoid.
        present: Which objects are real. A padded one gets probability exactly 0.

    Returns:
        Logits of background and objects, float32; those of absent objects are the smallest
        finite number.
    """
    log_odds = log_odds.astype(jnp.float32)
    exists = present[..., None, None]
    # log(1 - p) = -softplus(log-odds); the product becomes a sum.
    log_absence = jnp.where(exists, -jax.nn.softplus(log_odds), 0.0)
    log_background = log_absence.sum(axis=-3, keepdims=True)
    log_background = jnp.clip(log_background, math.log(CLAMP), math.log1p(-CLAMP))
    background = log_background - jnp.log(-jnp.expm1(log_background))
    objects = jnp.where(exists, jnp.clip(log_odds, -LARGEST, LARGEST), jnp.finfo(jnp.float32).min)
    return jnp.concatenate([background, objects], axis=-3)  # (.., 1 + o, h, w)


def softmax_over_objects(logits: Float[Array, "*b o h w"]) -> Float[Array, "*b o h w"]:
    """Returns the softmax over background and objects at every pixel.

    The same as `jax.nn.softmax` over that axis, but plane by plane: XLA takes four times as
    long on a CPU for a sum that runs over whole planes.
    """
    planes = jnp.unstack(logits, axis=-3)
    largest = jax.lax.stop_gradient(functools.reduce(jnp.maximum, planes))
    weights = [jnp.exp(plane - largest) for plane in planes]
    total = functools.reduce(jnp.add, weights)
    return jnp.stack([weight / total for weight in weights], axis=-3)


def others(masks: Float[Array, "*b o h w"]) -> Float[Array, "*b o h w"]:
    """Returns, for each object, the clamped sum of the other objects' masks.

    The background is not among `masks`, so it is not among the others.
    """
    # Summed one by one rather than total minus own: a difference leaves rounding behind.
    count = masks.shape[-3]
    keep = 1.0 - jnp.eye(count, dtype=masks.dtype)
    return jnp.clip(jnp.einsum("ij,...jhw->...ihw", keep, masks), 0.0, 1.0)
