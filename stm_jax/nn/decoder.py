"""The refinement decoder of RGMP (Oh et al., CVPR 2018), as STM uses it (paper section 3.4).

It has two halves. What it makes of the skips r3 and r2 does not depend on the object, so it is
computed once a frame; the rest runs once an object.
"""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.config import ModelConfig
from stm_jax.nn.convolution import convolve
from stm_jax.nn.encoders import Conv3x3
from stm_jax.nn.objects import for_objects
from stm_jax.nn.resnet import PLAIN_INIT, Kernel


class Skips(NamedTuple):
    """The decoder's object-independent half, for one frame."""

    at_stride_8: Float[Array, "b h8 w8 d"]
    at_stride_4: Float[Array, "b h4 w4 d4"]


def upsample(features: Float[Array, "b h w c"], factor: int) -> Float[Array, "b h2 w2 c"]:
    """Enlarges bilinearly, as PyTorch does with `align_corners=False`.

    Written as sums of shifted copies: `jax.image.resize` multiplies by a matrix a side, which
    takes five times as long.
    """
    return _upsample_along(_upsample_along(features, factor, 1), factor, 2)


def _upsample_along(features: jax.Array, factor: int, axis: int) -> jax.Array:
    size = features.shape[axis]
    slice_of = functools.partial(jax.lax.slice_in_dim, axis=axis)
    before = jnp.concatenate([slice_of(features, 0, 1), slice_of(features, 0, size - 1)], axis)
    after = jnp.concatenate([slice_of(features, 1, size), slice_of(features, size - 1, size)], axis)
    phases = []
    for phase in range(factor):
        shift = (phase + 0.5) / factor - 0.5  # from the middle of the pixel enlarged, in pixels
        beside = before if shift < 0 else after
        phases.append((1 - abs(shift)) * features + abs(shift) * beside)
    shape = (*features.shape[:axis], size * factor, *features.shape[axis + 1 :])
    return jnp.stack(phases, axis + 1).reshape(shape)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), without norm."""

    channels: int

    @nn.compact
    def __call__(self, features: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        residual = Conv3x3(self.channels, name="conv1")(nn.relu(features))
        return features + Conv3x3(self.channels, name="conv2")(nn.relu(residual))


class Refine(nn.Module):
    """Brings a skip into what comes from below, in two halves.

    Where what comes from below has another number of channels, a 1x1 convolution comes first;
    the paper's decoder has the same number everywhere and none.
    """

    channels: int
    channels_below: int

    def setup(self) -> None:
        self.skip_conv = Conv3x3(self.channels)
        self.skip_residual = ResidualBlock(self.channels)
        self.merged_residual = ResidualBlock(self.channels)
        if self.channels_below != self.channels:
            self.below_conv = Kernel((1, 1, self.channels_below, self.channels), PLAIN_INIT)

    def skip(self, features: Float[Array, "b h w c"]) -> Float[Array, "b h w d"]:
        """The half that is the same for every object."""
        return self.skip_residual(self.skip_conv(features))

    def merge(
        self, skip: Float[Array, "b h w d"], below: Float[Array, "bo h2 w2 d2"]
    ) -> Float[Array, "bo h w d"]:
        """The half that depends on the object; `below` holds the objects of each frame in turn."""
        if self.channels_below != self.channels:
            below = convolve(below, self.below_conv())
        enlarged = upsample(below, 2)
        objects = below.shape[0] // skip.shape[0]
        merged = enlarged.reshape(-1, objects, *enlarged.shape[1:]) + for_objects(skip, objects)
        return self.merged_residual(merged.reshape(enlarged.shape))


class Decoder(nn.Module):
    """Turns what was read from the memory into the logits of each object."""

    config: ModelConfig

    def setup(self) -> None:
        width = self.config.decoder_width
        self.read_conv = Conv3x3(width)
        self.read_residual = ResidualBlock(width)
        self.refine3 = Refine(width, width)
        self.refine2 = Refine(self.config.last_channels, width)
        self.predict = Conv3x3(2)

    def skips(self, r3: Float[Array, "b h8 w8 r3"], r2: Float[Array, "b h4 w4 r2"]) -> Skips:
        """Computes, once a frame, the half that no object changes."""
        return Skips(self.refine3.skip(r3), self.refine2.skip(r2))

    def __call__(
        self, read: Float[Array, "bo h16 w16 c"], skips: Skips
    ) -> Float[Array, "bo h4 w4 2"]:
        """Decodes [memory value, query value] to logits of background and object, float32.

        They are at stride 4: the caller enlarges them, after taking out what it does not need.
        """
        below = self.read_residual(self.read_conv(read))  # stride 16
        below = self.refine3.merge(skips.at_stride_8, below)  # stride 8
        below = self.refine2.merge(skips.at_stride_4, below)  # stride 4
        return self.predict(nn.relu(below)).astype(jnp.float32)
