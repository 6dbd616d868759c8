"""What training minimises: how well a clip is segmented from its first mask."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from stm_jax.memory.protocol import Memory
from stm_jax.nn.stm import STM, Variables
from stm_jax.ops.aggregate import softmax_over_objects
from stm_jax.reads.protocol import Read
from stm_jax.train.follow import ALL_FRAMES, DENSE, follow_clip, shares_of_cells

CERTAIN = 1e-3  # how near to 0 or 1 the carried share of an object may come in the logarithm
SMOOTH = 1.0  # pixels: what the overlap of an object that is out of sight is measured against


def clip_loss(
    network: STM,
    variables: Variables,
    frames: UInt8[Array, "b t h w 3"],
    masks: UInt8[Array, "b t h w"],
    objects: int,
    *,
    hardest_share: float = 1.0,
    matching_weight: float = 0.0,
    overlap_weight: float = 0.0,
    memory: Memory = ALL_FRAMES,
    read: Read = DENSE,
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
        overlap_weight: Weight of a third term, `overlap_loss`. Not in the paper: to it a small
            object is worth as much as a large one.
        memory: As of `follow_clip`.
        read: As of `follow_clip`.
        remat: As of `follow_clip`.

    Returns:
        The mean over all pixels that count, with the weighted terms; and the label maps.
    """
    ids = jnp.arange(1, objects + 1, dtype=masks.dtype)
    planes = masks[:, None] == ids[:, None, None, None]  # (b, o, t, h, w)
    present = planes[:, :, 0].any(axis=(2, 3))
    planes = (planes & present[:, :, None, None, None]).astype(jnp.float32)
    scaled = frames.astype(jnp.float32) / 255
    logits, carried = follow_clip(
        network, variables, scaled, planes, present, memory=memory, read=read, remat=remat
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
    if overlap_weight:
        soft_masks = softmax_over_objects(logits)[:, :, 1:]
        loss += overlap_weight * overlap_loss(soft_masks, shown, present)
    return loss, logits.argmax(axis=2)


def overlap_loss(
    soft_masks: Float[Array, "b t o h w"],
    masks: Float[Array, "b t o h w"],
    present: Bool[Array, "b o"],
) -> Float[Array, ""]:
    """Returns 1 - the Dice coefficient of soft and true masks, mean over objects and frames.

    The soft Dice loss of V-Net (Milletari et al., 3DV 2016), with the plain sums below: an object
    that is out of sight costs what is taken for it.

    Args:
        soft_masks: Probabilities of the objects.
        masks: 0 or 1.
        present: Which objects are real; the others do not count.
    """
    both = (soft_masks * masks).sum(axis=(3, 4))
    total = soft_masks.sum(axis=(3, 4)) + masks.sum(axis=(3, 4))
    missing = 1 - (2 * both + SMOOTH) / (total + SMOOTH)  # (b, t, o)
    counted = jnp.broadcast_to(present[:, None], missing.shape)
    return missing.mean(where=counted)
