"""What training minimises: how well a clip is segmented from its first mask."""

import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.nn.stm import STM, Variables, decode, memorize, query
from stm_jax.ops.aggregate import aggregate, others, softmax_over_objects
from stm_jax.ops.local_reads import object_positions
from stm_jax.ops.memory_read import Answer, Read, Regions, read_dense

Tree = TypeVar("Tree")

STRIDE = 16
CERTAIN = 1e-3  # how near to 0 or 1 the carried share of an object may come in the logarithm


def follow_clip(
    network: STM,
    variables: Variables,
    frames: Float[Array, "b t h w 3"],
    masks: Float[Array, "b o t h w"],
    present: Bool[Array, "b o"],
    *,
    read: Read = read_dense,
    remat: bool = False,
) -> tuple[Float[Array, "b t-1 1+o h w"], Float[Array, "b o t-1 h16 w16"]]:
    """Segments short clips from their first masks, remembering every frame on the way.

    The first frame is memorised with its true mask, every later one with its soft mask (paper
    section 3.5), so that gradients flow through the memory.

    Args:
        network: The network.
        variables: Its variables.
        frames: In [0, 1]; sides that are multiples of 16.
        masks: The true masks, one plane an object and frame, 0 or 1. Only the first frame's are
            seen by the network.
        present: Which objects are real rather than padding.
        read: How the memory is read; it must have a gradient.
        remat: Whether what lies inside the encoders and the decoder is computed again for the
            gradient rather than kept.

    Returns:
        Logits of background and objects for frames 1 to t - 1, float32; and what share of each
        object the affinity alone carries over to them from the true masks of the frames before,
        in [0, 1], float32.
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

    def read_one(query_key, keys, values, filled, regions: Regions) -> Answer:
        return read(query_key, keys, values, filled, regions=regions)

    read_objects = jax.vmap(read_one, in_axes=(None, 0, 0, None, 0))  # over the objects
    read_batch = jax.vmap(read_objects, in_axes=(0, 0, 0, None, 0))
    soft_masks, shares = masks[:, :, 0], shares_of_cells(masks)
    keys, values, regions, logits, carried = [], [], [], [], []
    for index in range(length - 1):
        memorized = encode(variables, frames[:, index], soft_masks, others(soft_masks))
        keys.append(memorized.key)
        # The true mask is one more channel of the value: reading it costs next to nothing.
        share = shares[:, :, index, ..., None].astype(memorized.value.dtype)
        values.append(jnp.concatenate([memorized.value, share], axis=-1))
        regions.append(object_positions(soft_masks))
        asking = of_frame(features, index)
        filled = jnp.ones(len(keys), bool)
        memory = jnp.stack(keys, axis=2), jnp.stack(values, axis=2)  # (b, o, slots, ...)
        where = Regions(jnp.stack(regions, axis=2), regions[-1])
        found = read_batch(asking.key, *memory, filled, where)  # (b, o, h16, w16, value + 1)
        found, share = found[..., :-1], found[..., -1]
        carried.append(share.astype(jnp.float32))
        query_value = jnp.broadcast_to(asking.value[:, None], found.shape)
        found = jnp.concatenate([found, query_value], axis=-1)
        log_odds = segment(variables, found, of_frame(skips, index))
        logits.append(aggregate(log_odds, present))
        soft_masks = softmax_over_objects(logits[-1])[:, 1:]
    return jnp.stack(logits, axis=1), jnp.stack(carried, axis=2)


def shares_of_cells(masks: Float[Array, "*lead h w"]) -> Float[Array, "*lead h16 w16"]:
    """Returns what share of each position at stride 16 a mask covers."""
    *lead, height, width = masks.shape
    cells = masks.reshape(*lead, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
    return cells.mean(axis=(-3, -1))


def clip_loss(
    network: STM,
    variables: Variables,
    frames: UInt8[Array, "b t h w 3"],
    masks: UInt8[Array, "b t h w"],
    objects: int,
    *,
    hardest_share: float = 1.0,
    matching_weight: float = 0.0,
    read: Read = read_dense,
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
        matching_weight: Weight of a second term, the cross-entropy of the share of each object
            that the affinity alone carries over from true masks. Not in the paper: it teaches
            the keys to match, where little training would teach the decoder to guess.
        read: As of `follow_clip`.
        remat: As of `follow_clip`.

    Returns:
        The mean over all pixels that count, and the label maps.
    """
    ids = jnp.arange(1, objects + 1, dtype=masks.dtype)
    planes = masks[:, None] == ids[:, None, None, None]  # (b, o, t, h, w)
    present = planes[:, :, 0].any(axis=(2, 3))
    planes = (planes & present[:, :, None, None, None]).astype(jnp.float32)
    scaled = frames.astype(jnp.float32) / 255
    logits, carried = follow_clip(
        network, variables, scaled, planes, present, read=read, remat=remat
    )
    # One-hot rather than integer labels: the gradient is then no scatter.
    shown = planes[:, :, 1:].swapaxes(1, 2)  # (b, t-1, o, h, w)
    targets = jnp.concatenate([1.0 - shown.sum(axis=2, keepdims=True), shown], axis=2)
    losses = optax.softmax_cross_entropy(logits, targets, axis=2)
    if hardest_share < 1.0:
        pixels = losses.reshape(*losses.shape[:2], -1)  # (b, t-1, h*w)
        losses, _ = jax.lax.top_k(pixels, max(1, round(hardest_share * pixels.shape[-1])))
    loss = losses.mean()
    if matching_weight:
        goal = shares_of_cells(planes[:, :, 1:])
        inside, outside = jnp.log(carried + CERTAIN), jnp.log(1 - carried + CERTAIN)
        loss += matching_weight * -(goal * inside + (1 - goal) * outside).mean()
    return loss, logits.argmax(axis=2)
