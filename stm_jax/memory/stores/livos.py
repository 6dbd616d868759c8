"""LiVOS's state: sums of values by the channels of their keys, which are forgotten by gates."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from stm_jax.errors import InputError
from stm_jax.memory.protocol import Candidate, Memory, filled_with, in_elements
from stm_jax.memory.stores.elements import flat, room_for_more
from stm_jax.reads.affinity import softmax_where, weighted_sum
from stm_jax.reads.protocol import Answer, MemoryView


@dataclasses.dataclass(frozen=True)
class LinearRead:
    """Every channel's mean value, by what share of the query's key the channel has.

    Arguments and result are those of `Read`; a slot of the memory is a channel, whose key is the
    logarithm of its weight. It has gradients, and takes no more time the longer a video is.
    """

    def __call__(
        self,
        query_key: Float[Array, "h w key"],
        memory: MemoryView,
        expected: Bool[Array, "h w"] | None = None,
        *,
        with_mass: bool = False,
    ) -> Answer:
        """Raises InputError where the query's key has other channels than the memory's."""
        channels, asked = memory.keys.shape[0], query_key.shape[-1]
        if channels != asked:
            raise InputError(
                f"livos has {channels} channels and the query's key {asked}: gates=true is for "
                "weights of the similarity gated, gates=false for those of dot-product"
            )
        query = query_key.reshape(-1, asked).astype(jnp.float32)
        weights = softmax_where(memory.filled[None], query + memory.keys.reshape(1, -1))
        values, mass = weighted_sum(weights, query_key, memory, with_mass)
        return Answer(values.astype(query_key.dtype), mass)


@flax.struct.dataclass
class LivosState:
    """What is left of all frames, the same size however many there were.

    Attributes:
        sums: Of the values, weighted by the channels of their keys, float32.
        weights: Sums of those weights, float32; 0 where there is nothing.
    """

    sums: Float[Array, "objects key value"]
    weights: Float[Array, "objects key"]


@dataclasses.dataclass(frozen=True)
class Livos(Memory[LivosState]):
    """All frames in sums of constant size, read linearly; gates that are trained let them fade.

    Liu et al., "LiVOS: Light Video Object Segmentation with Gated Linear Matching", CVPR 2025,
    sections 3.2 and 3.3. With f the softmax over a key's channels, k and v those of all positions
    of the frame, and g in (0, 1) a gate of each channel,

        S <- g S + sum of f(k) v^T        Z <- g Z + sum of f(k)        read: f(q) S / (f(q) Z)

    The gate is the sigmoid of a head's output, the mean over the frame's positions: it is learnt,
    and asked for by the similarity `gated` (`similarity=gated memory=livos,gates=true` to train).
    Without gates nothing is forgotten, which is the paper's linear matching, its ablation. Weights
    that were trained for a softmax over positions find nothing by either: train them.

    Unlike in LiVOS: neither its sensory memory nor its object memory is here, which are Cutie's
    and need a decoder of their own; the key and the gate are those of STM's memory encoder, which
    sees the object's mask, so that each object has its own, where theirs are of the image alone
    and the same for all objects; Z fades as S does, so that a read is a mean of values, where
    theirs only grows; and the head is a 3x3 convolution. As in the paper the gates are of the
    key's channels, and each query position has a divisor; in the authors' code the gates are of
    the value's channels, and one divisor is shared by all positions of a frame. With a similarity
    of other features than the key, f is of what it makes of the query's. Pinned frames are added
    to the sums when they are read, and do not fade.

    Source: LiVOS (CVPR 2025).

    Attributes:
        gates: Whether the network has gates; false is linear matching.
    """

    gates: bool = False
    own_read = LinearRead()

    def slots_for(self, frames: int | None) -> int | None:
        """Returns 1: the state of a video of any length."""
        return 1

    def empty(self, objects, slots, feature_size, channels, dtype) -> LivosState:
        """Returns sums of nothing.

        Raises:
            InputError: The network has no gates.
        """
        if self.gates and channels[0] % 2:
            raise InputError("livos gates=true needs a network with gates: train similarity=gated")
        key = channels[0] // 2 if self.gates else channels[0]
        return LivosState(
            sums=filled_with(0, (objects, key, channels[1]), jnp.float32),
            weights=filled_with(0, (objects, key), jnp.float32),
        )

    def write(self, state: LivosState, candidate: Candidate) -> LivosState:
        """Lets the sums fade by the frame's gates, and adds the frame."""
        channels = state.weights.shape[1]
        key, value = flat(candidate.key).astype(jnp.float32), flat(candidate.value)
        kept = jax.nn.sigmoid(key[..., channels:]).mean(axis=1) if self.gates else 1.0
        there = candidate.present[:, None]
        share = jnp.where(there[..., None], jax.nn.softmax(key[..., :channels], axis=-1), 0.0)
        kept = jnp.where(there, kept, 1.0)
        return LivosState(
            sums=kept[..., None] * state.sums + _summed(share, value),
            weights=kept * state.weights + share.sum(axis=1),
        )

    def view(self, state: LivosState) -> MemoryView:
        """Returns the mean value of each channel, and as its key the logarithm of its weight."""
        filled = state.weights > 0
        weights = jnp.where(filled, state.weights, 1.0)
        return MemoryView(
            keys=jnp.log(weights)[..., None, None, None],
            values=(state.sums / weights[..., None])[:, :, None, None],
            filled=filled,
            region=jnp.ones((*filled.shape, 1, 1), bool),
        )

    def view_beside(self, state: LivosState, frames: MemoryView) -> MemoryView:
        """Returns the view of the sums with these frames added."""
        keys, values, filled, _ = in_elements(frames)
        key = keys[:, :, 0, 0, : state.weights.shape[1]].astype(jnp.float32)
        share = jnp.where(filled[..., None], jax.nn.softmax(key, axis=-1), 0.0)
        sums = state.sums + _summed(share, values[:, :, 0, 0])
        return self.view(LivosState(sums, state.weights + share.sum(axis=1)))

    def grown(self, state: LivosState, objects: int) -> LivosState:
        """Returns sums for more objects."""
        return jax.tree.map(lambda leaf: room_for_more(leaf, objects), state)


def _summed(
    share: Float[Array, "objects p key"], value: Float[Array, "objects p value"]
) -> Float[Array, "objects key value"]:
    return jnp.einsum("opk,opv->okv", share, value.astype(jnp.float32))
