"""The Space-Time Memory Network: memorize, query, decode.

Linen ends here: the rest of the project calls the functions at the bottom, which are pure
functions of variables and arrays.
"""

import functools
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.catalogue import chosen_similarity
from stm_jax.config import ModelConfig
from stm_jax.nn.decoder import Decoder, Skips
from stm_jax.nn.encoders import (
    KeyValue,
    KeyValueHead,
    MemoryEncoder,
    Numbers,
    QueryEncoder,
    QueryFeatures,
)
from stm_jax.ops.fast_conv import upsample
from stm_jax.reads.protocol import MemoryView
from stm_jax.similarities.protocol import Similarity

Variables = dict[str, Any]
"""{"params": ..., "batch_stats": ...}, nested dicts of arrays."""


class STM(nn.Module):
    """The network of Oh et al., ICCV 2019. `dtype` is what the convolutions compute in."""

    config: ModelConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        measure, channels = similarity_of(self.config), self.config.key_channels
        self.memory_encoder = MemoryEncoder(self.config, self.dtype)
        self.query_encoder = QueryEncoder(self.config, self.dtype)
        of_memory, of_query = measure.memory_heads(channels), measure.query_heads(channels)
        self.memory_head = KeyValueHead(self.config, tuple(of_memory.items()))
        self.query_head = KeyValueHead(self.config, tuple(of_query.items()))
        self.similarity = Numbers(tuple(measure.numbers().items()))
        self.decoder = Decoder(self.config)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of a remembered key and of a value."""
        key = self.config.key_channels
        more = similarity_of(self.config).memory_heads(key).values()
        return key + sum(more), self.config.value_channels

    def memorize_r4(
        self,
        frames: Float[Array, "b h w 3"],
        masks: Float[Array, "b o h w"],
        others: Float[Array, "b o h w"],
    ) -> Float[Array, "b*o h16 w16 r4"]:
        """The memory encoder's features, before its heads."""
        return self.memory_encoder(frames, masks, others)

    def memorize(
        self,
        frames: Float[Array, "b h w 3"],
        masks: Float[Array, "b o h w"],
        others: Float[Array, "b o h w"],
    ) -> KeyValue:
        """Keys and values of each object, (b, o, h16, w16, channels)."""
        (key, value), more = self.memory_head(self.memorize_r4(frames, masks, others))
        if more:
            key = jnp.concatenate([key, *more.values()], axis=-1)
        lead = masks.shape[:2]
        return KeyValue(  # (b*o, ...) -> (b, o, ...)
            key.reshape(*lead, *key.shape[1:]), value.reshape(*lead, *value.shape[1:])
        )

    def query(self, frames: Float[Array, "b h w 3"]) -> QueryFeatures:
        """What a frame asks the memory with, and what the decoder needs of it."""
        r2, r3, r4 = self.query_encoder(frames)
        (key, value), more = self.query_head(r4)
        key = similarity_of(self.config).of_query(key, {**more, **self.similarity()})
        return QueryFeatures(key, value, r4, r3, r2)

    def skips(self, features: QueryFeatures) -> Skips:
        """The decoder's object-independent half."""
        return self.decoder.skips(features.r3, features.r2)

    def decode(self, read: Float[Array, "b o h16 w16 c"], skips: Skips) -> Float[Array, "b o h w"]:
        """The log-odds of each object, alone against its background, in float32."""
        lead = read.shape[:2]
        logits = self.decoder(read.reshape(-1, *read.shape[2:]), skips)
        # The softmax of two logits is the sigmoid of their difference, and enlarging is linear.
        log_odds = upsample(logits[..., 1:] - logits[..., :1], 4)[..., 0]
        return log_odds.reshape(*lead, *log_odds.shape[1:])

    def __call__(self, frames: Float[Array, "b h w 3"]) -> Float[Array, "b 1 h w"]:
        """Touches every parameter once, for initialisation only."""
        zeros = jnp.zeros((frames.shape[0], 1, *frames.shape[1:3]))
        memory = self.memorize(frames, zeros, zeros)
        query = self.query(frames)
        read = jnp.concatenate([memory.value, query.value[:, None]], axis=-1)
        return self.decode(read, self.skips(query))


@functools.cache
def _similarity_of(words: tuple[str, ...]) -> Similarity:
    return chosen_similarity(words, "similarity =")


def similarity_of(config: ModelConfig) -> Similarity:
    """Returns how alike two keys of a network are; raises InputError where there is no such one."""
    return _similarity_of(config.similarity)


def view_of(network: STM, memory: MemoryView) -> MemoryView:
    """Returns one object's memory as reads are given it: with what the query's key is held against.

    With the dot product it is the memory as it is.
    """
    return similarity_of(network.config).view(memory, network.config.key_channels)


def initialize(config: ModelConfig, key: jax.Array) -> Variables:
    """Returns random variables {"params": ..., "batch_stats": ...}, float32."""
    return cast(Variables, jax.jit(STM(config).init)(key, jnp.zeros((1, 32, 32, 3))))


def memorize(
    network: STM,
    variables: Variables,
    frames: Float[Array, "b h w 3"],
    masks: Float[Array, "b o h w"],
    others: Float[Array, "b o h w"],
) -> KeyValue:
    """Encodes frames with masks for the memory (paper section 3.1).

    Args:
        network: The network.
        variables: Its variables.
        frames: In [0, 1], padded with 0 to multiples of 16.
        masks: One soft mask an object.
        others: For each object, the clamped sum of the other objects' masks.

    Returns:
        Keys and values, (b, o, h / 16, w / 16, channels), in the network's dtype.
    """
    return cast(KeyValue, network.apply(variables, frames, masks, others, method="memorize"))


def query(
    network: STM, variables: Variables, frames: Float[Array, "b h w 3"]
) -> tuple[QueryFeatures, Skips]:
    """Encodes frames alone, once for all objects (paper section 3.2).

    Args:
        network: The network.
        variables: Its variables.
        frames: In [0, 1], padded with 0 to multiples of 16.

    Returns:
        What asks the memory, and the decoder's object-independent half.
    """
    features = cast(QueryFeatures, network.apply(variables, frames, method="query"))
    return features, cast(Skips, network.apply(variables, features, method="skips"))


def decode(
    network: STM, variables: Variables, read: Float[Array, "b o h16 w16 c"], skips: Skips
) -> Float[Array, "b o h w"]:
    """Turns [memory value, query value] of each object into its log-odds, float32.

    The log-odds are the object's logit minus its background's (paper section 3.4).
    """
    return cast(jax.Array, network.apply(variables, read, skips, method="decode"))
