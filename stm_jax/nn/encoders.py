"""The two encoders and the heads that turn their features into keys and values."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.config import ModelConfig
from stm_jax.nn.resnet import PLAIN_INIT, FrozenBatchNorm, Kernel, Stages
from stm_jax.ops.fast_conv import convolve, stem_of_frames, stem_of_objects

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class KeyValue(NamedTuple):
    """A key and a value for every position of a frame at stride 16.

    What the heads of a similarity give stands behind the key, as further channels of it.
    """

    key: Float[Array, "b h16 w16 key"]
    value: Float[Array, "b h16 w16 value"]


class QueryFeatures(NamedTuple):
    """What the query encoder knows of a frame: nothing in it depends on an object.

    The key is what reads multiply: the features that the similarity makes of it.
    """

    key: Float[Array, "b h16 w16 key"]
    value: Float[Array, "b h16 w16 value"]
    r4: Float[Array, "b h16 w16 r4"]
    r3: Float[Array, "b h8 w8 r3"]
    r2: Float[Array, "b h4 w4 r2"]


class Normalize(nn.Module):
    """Subtracts the mean and divides by the deviation of ImageNet's pixels.

    Both are variables rather than constants because a PyTorch state dict carries them.
    """

    @nn.compact
    def __call__(self, frames: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
        mean = self.variable("batch_stats", "mean", lambda: jnp.asarray(IMAGENET_MEAN)).value
        std = self.variable("batch_stats", "std", lambda: jnp.asarray(IMAGENET_STD)).value
        return (frames - mean) / std


class MemoryEncoder(nn.Module):
    """Encodes a frame together with one object's mask and the others' (paper section 3.1)."""

    config: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        frames: Float[Array, "b h w 3"],
        masks: Float[Array, "b o h w"],
        others: Float[Array, "b o h w"],
    ) -> Float[Array, "b*o h16 w16 r4"]:
        width = self.config.width
        normalized = Normalize(name="normalize")(frames).astype(self.dtype)
        factor, offset = FrozenBatchNorm(width, name="norm")()
        frame_kernel = Kernel((7, 7, 3, width), name="conv_frame")()
        mask_kernel = Kernel((7, 7, 1, width), name="conv_mask")()
        others_kernel = Kernel((7, 7, 1, width), name="conv_others")()
        plane_kernel = jnp.concatenate([mask_kernel, others_kernel], axis=2)
        stem = stem_of_objects(
            normalized, masks, others, frame_kernel * factor, plane_kernel * factor
        )
        return Stages(self.config, name="trunk")(stem, offset)[2]


class QueryEncoder(nn.Module):
    """Encodes a frame alone, with skips for the decoder (paper section 3.2)."""

    config: ModelConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, frames: Float[Array, "b h w 3"]
    ) -> tuple[
        Float[Array, "b h4 w4 r2"], Float[Array, "b h8 w8 r3"], Float[Array, "b h16 w16 r4"]
    ]:
        width = self.config.width
        normalized = Normalize(name="normalize")(frames).astype(self.dtype)
        factor, offset = FrozenBatchNorm(width, name="norm")()
        kernel = Kernel((7, 7, 3, width), name="conv_frame")()
        stem = stem_of_frames(normalized, kernel * factor)
        return Stages(self.config, name="trunk")(stem, offset)


class KeyValueHead(nn.Module):
    """Two 3x3 convolutions side by side, for a key and a value, and those of a similarity."""

    config: ModelConfig
    more: tuple[tuple[str, int], ...] = ()  # their names and channels

    @nn.compact
    def __call__(self, r4: Float[Array, "b h16 w16 r4"]) -> tuple[KeyValue, dict[str, Array]]:
        key = Conv3x3(self.config.key_channels, name="key")(r4)
        value = Conv3x3(self.config.value_channels, name="value")(r4)
        more = {name: Conv3x3(channels, name=name)(r4) for name, channels in self.more}
        return KeyValue(key, value), more


class Numbers(nn.Module):
    """Single numbers that are learnt."""

    begin: tuple[tuple[str, float], ...]

    @nn.compact
    def __call__(self) -> dict[str, Float[Array, ""]]:
        return {
            name: self.param(name, nn.initializers.constant(value), ())
            for name, value in self.begin
        }


class Conv3x3(nn.Module):
    """A 3x3 convolution with bias."""

    channels: int

    @nn.compact
    def __call__(self, features: Float[Array, "b h w i"]) -> Float[Array, "b h w o"]:
        shape = (3, 3, features.shape[-1], self.channels)
        kernel = Kernel(shape, PLAIN_INIT, name="conv")()
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        return convolve(features, kernel) + bias.astype(features.dtype)
