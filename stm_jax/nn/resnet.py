"""ResNet trunks, stem to the third stage, with batch norm that uses its running statistics."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from stm_jax.config import ModelConfig
from stm_jax.ops.fast_conv import convolve, max_pool

EPSILON = 1e-5
NORMED_INIT = nn.initializers.he_normal()
PLAIN_INIT = nn.initializers.lecun_normal()  # no norm behind it, so it must not amplify


class FrozenBatchNorm(nn.Module):
    """Batch norm with running statistics only, in training too; scale and bias learn.

    It returns its effect as one factor and one offset a channel instead of applying it, so
    that a convolution in front can take the factor into its kernel: the activation is then
    read once less, and none has to be kept for the gradient of the scale.
    """

    channels: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
        shape = (self.channels,)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape).value
        variance = self.variable("batch_stats", "var", jnp.ones, shape).value
        # Never read; kept so that PyTorch weights come back whole.
        self.variable("batch_stats", "count", jnp.zeros, (), jnp.int32)
        factor = scale * jax.lax.rsqrt(variance + EPSILON)
        return factor, bias - mean * factor


class Kernel(nn.Module):
    """The kernel of a convolution, so that its owner can scale it first."""

    shape: tuple[int, int, int, int]
    initializer: nn.initializers.Initializer = NORMED_INIT

    @nn.compact
    def __call__(self) -> Float[Array, "kh kw i o"]:
        return self.param("kernel", self.initializer, self.shape)


class ConvNorm(nn.Module):
    """A bias-free convolution followed by batch norm, computed as one convolution."""

    channels: int
    size: int
    stride: int = 1

    @nn.compact
    def __call__(self, features: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        shape = (self.size, self.size, features.shape[-1], self.channels)
        kernel = Kernel(shape, name="conv")()
        factor, offset = FrozenBatchNorm(self.channels, name="norm")()
        convolved = convolve(features, kernel * factor, self.stride)
        return convolved + offset.astype(features.dtype)


class BasicBlock(nn.Module):
    """The residual block of ResNet-18 and -34 (He et al., CVPR 2016)."""

    channels: int
    stride: int

    @nn.compact
    def __call__(self, features: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        shortcut = features
        if self.stride != 1 or features.shape[-1] != self.channels:
            shortcut = ConvNorm(self.channels, 1, self.stride, name="shortcut")(features)
        residual = nn.relu(ConvNorm(self.channels, 3, self.stride, name="conv1")(features))
        residual = ConvNorm(self.channels, 3, name="conv2")(residual)
        return nn.relu(residual + shortcut)


class Bottleneck(nn.Module):
    """The residual block of ResNet-50, its stride on the 3x3 convolution as in torchvision."""

    channels: int
    stride: int

    @nn.compact
    def __call__(self, features: Float[Array, "b h w i"]) -> Float[Array, "b h2 w2 o"]:
        inner = self.channels // 4
        shortcut = features
        if self.stride != 1 or features.shape[-1] != self.channels:
            shortcut = ConvNorm(self.channels, 1, self.stride, name="shortcut")(features)
        residual = nn.relu(ConvNorm(inner, 1, name="conv1")(features))
        residual = nn.relu(ConvNorm(inner, 3, self.stride, name="conv2")(residual))
        residual = ConvNorm(self.channels, 1, name="conv3")(residual)
        return nn.relu(residual + shortcut)


class Stages(nn.Module):
    """What follows the stem's convolution: the offset of its norm, pooling, ReLU, three stages."""

    config: ModelConfig

    @nn.compact
    def __call__(
        self, stem: Float[Array, "b h2 w2 width"], offset: Float[Array, " width"]
    ) -> tuple[
        Float[Array, "b h4 w4 r2"], Float[Array, "b h8 w8 r3"], Float[Array, "b h16 w16 r4"]
    ]:
        # In this order offset and ReLU touch a quarter of it; the largest stays the largest.
        features = nn.relu(max_pool(stem) + offset.astype(stem.dtype))
        outputs: list[Any] = []
        block = Bottleneck if self.config.bottleneck else BasicBlock
        for stage, channels in enumerate(self.config.stage_channels):
            for index in range(self.config.blocks[stage]):
                stride = 2 if stage > 0 and index == 0 else 1
                name = f"res{stage + 2}_block{index}"
                features = block(channels, stride, name=name)(features)
            outputs.append(features)
        return outputs[0], outputs[1], outputs[2]
