"""What training minimises: how well a clip is segmented from its first mask."""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.nn.stm import STM, Variables, decode, memorize, query
from stm_jax.ops.aggregate import aggregate, others
from stm_jax.ops.memory_read import read_dense

Tree = TypeVar("Tree")


def clip_logits(
    network: STM,
    variables: Variables,
    frames: Float[Array, "b t h w 3"],
    first_masks: Float[Array, "b o h w"],
    present: Bool[Array, "b o"],
    *,
    remat: bool = False,
) -> Float[Array, "b t-1 1+o h w"]:
    """Segments short clips from their first masks, remembering every frame on the way.

    The first frame is memorised with its true mask, every later one with its soft mask (paper
    section 3.5), so that gradients flow through the memory.

    Args:
        network: The network.
        variables: Its variables.
        frames: In [0, 1]; sides that are multiples of 16.
        first_masks: One plane an object, 0 or 1.
        present: Which objects are real rather than padding.
        remat: Whether what lies inside the encoders and the decoder is computed again for the
            gradient rather than kept.

    Returns:
        Logits of background and objects for frames 1 to t - 1, float32.
    """
    encode = functools.partial(memorize, network)
    ask = functools.partial(query, network)
    segment = functools.partial(decode, network)
    if remat:
        encode, ask, segment = jax.checkpoint(encode), jax.checkpoint(ask), jax.checkpoint(segment)
    batch, length = frames.shape[:2]
    later = frames[:, 1:].reshape(-1, *frames.shape[2:])  # (b, t-1, ...) -> (b*(t-1), ...)
    features, skips = ask(variables, later)

    def of_frame(tree: Tree, index: int) -> Tree:
        return jax.tree.map(lambda a: a.reshape(batch, length - 1, *a.shape[1:])[:, index], tree)

    read_objects = jax.vmap(read_dense, in_axes=(None, 0, 0, None))  # over the objects
    read_batch = jax.vmap(read_objects, in_axes=(0, 0, 0, None))
    masks, keys, values, logits = first_masks, [], [], []
    for index in range(length - 1):
        memorized = encode(variables, frames[:, index], masks, others(masks))
        keys.append(memorized.key)
        values.append(memorized.value)
        asking = of_frame(features, index)
        filled = jnp.ones(len(keys), bool)
        memory = jnp.stack(keys, axis=2), jnp.stack(values, axis=2)  # (b, o, slots, ...)
        read = read_batch(asking.key, *memory, filled)  # (b, o, h16, w16, value)
        query_value = jnp.broadcast_to(asking.value[:, None], read.shape)
        read = jnp.concatenate([read, query_value], axis=-1)
        log_odds = segment(variables, read, of_frame(skips, index))
        logits.append(aggregate(log_odds, present))
        masks = jax.nn.softmax(logits[-1], axis=1)[:, 1:]
    return jnp.stack(logits, axis=1)


def clip_loss(
    network: STM,
    variables: Variables,
    frames: UInt8[Array, "b t h w 3"],
    masks: UInt8[Array, "b t h w"],
    objects: int,
    *,
    hardest_share: float = 1.0,
    remat: bool = False,
) -> tuple[Float[Array, ""], Int[Array, "b t-1 h w"]]:
    """Cross-entropy on the aggregated logits of every frame but the first (paper section 3.5).

    Args:
        network: The network.
        variables: Its variables.
        frames: RGB.
        masks: Ids 0 to `objects`; an id that the first mask lacks is no object of its clip.
        objects: How many objects a clip has at most.
        hardest_share: Share of each frame's pixels, those with the largest loss, that count
            (bootstrapped cross-entropy, Pohlen et al., CVPR 2017); 1 for all.
        remat: As of `clip_logits`.

    Returns:
        The mean over all pixels that count, and the label maps.
    """
    ids = jnp.arange(1, objects + 1, dtype=masks.dtype)
    first_masks = (masks[:, :1] == ids[:, None, None]).astype(jnp.float32)  # (b, o, h, w)
    present = first_masks.any(axis=(2, 3))
    scaled = frames.astype(jnp.float32) / 255
    logits = clip_logits(network, variables, scaled, first_masks, present, remat=remat)
    known = jnp.concatenate([jnp.ones_like(present[:, :1]), present], axis=1)  # id -> is it known
    labels = masks[:, 1:].astype(jnp.int32)
    labels = jnp.where(jax.vmap(lambda k, i: k[i])(known, labels), labels, 0)
    # One-hot rather than integer labels: the gradient is then no scatter.
    targets = jax.nn.one_hot(labels, objects + 1, axis=2)
    losses = optax.softmax_cross_entropy(logits, targets, axis=2)
    if hardest_share < 1.0:
        pixels = losses.reshape(*losses.shape[:2], -1)  # (b, t-1, h*w)
        losses, _ = jax.lax.top_k(pixels, max(1, round(hardest_share * pixels.shape[-1])))
    return losses.mean(), logits.argmax(axis=2)
