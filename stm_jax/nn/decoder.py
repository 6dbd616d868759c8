"""The refinement decoder of RGMP (Oh et al., CVPR 2018), as STM uses it (paper section 3.4).

It has two halves. What it makes of the skips r3 and r2 does not depend on the object, so it is
computed once a frame; the rest runs once an object.
"""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.config import ModelConfig
from stm_jax.nn.encoders import Conv3x3
from stm_jax.nn.resnet import PLAIN_INIT, Kernel
from stm_jax.ops.fast_conv import convolve, for_objects, upsample


class Skips(NamedTuple):
    """The decoder's object-independent half, for one frame."""

    at_stride_8: Float[Array, "b h8 w8 d"]
    at_stride_4: Float[Array, "b h4 w4 d4"]


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
