"""A PyTorch twin of STM, for comparison only: `stm-jax convert --verify` and the tests.

Written from the paper (Oh et al., ICCV 2019) and from the entries of the original
implementation's state dict, whose names and shapes it shares, so that one set of weights
runs in both. Tensors are NCHW; one video at a time, its objects are the batch. It is the one
module that needs PyTorch to be imported: nothing imports it but where PyTorch is wanted.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stm_jax.config import STM_R50, ModelConfig

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics in training too."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm":
        """Does nothing."""
        del mode
        return super().train(False)


def conv(inputs: int, outputs: int, size: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size, before its stride."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)


class TrunkBlock(nn.Module):
    """One residual block of a trunk: two 3x3 convolutions, or the bottleneck of three."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            layers = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        else:
            layers = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        self.depth = len(layers)
        for i, layer in enumerate(layers, start=1):
            self.add_module(f"conv{i}", conv(*layer))
            self.add_module(f"bn{i}", FrozenBatchNorm(layer[1]))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                conv(inputs, outputs, 1, stride), FrozenBatchNorm(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        shortcut = features if self.downsample is None else self.downsample(features)
        for i in range(1, self.depth + 1):
            features = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(features))
            if i < self.depth:
                features = F.relu(features)
        return F.relu(features + shortcut)


class Encoder(nn.Module):
    """A ResNet from its stem to its third stage; with masks it is the memory encoder."""

    mean: Tensor
    std: Tensor
    res2: nn.Sequential
    res3: nn.Sequential
    res4: nn.Sequential

    def __init__(self, bottleneck: bool, blocks: tuple[int, ...], width: int, masks: bool):
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGE_STD).reshape(1, 3, 1, 1))
        if masks:
            self.conv1_m = conv(1, width, 7, 2)
            self.conv1_o = conv(1, width, 7, 2)
        self.conv1 = conv(3, width, 7, 2)
        self.bn1 = FrozenBatchNorm(width)
        inputs = width
        for stage, count in enumerate(blocks):
            stage_width = width * 2**stage
            chain = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                chain.append(TrunkBlock(inputs, stage_width, stride, bottleneck))
                inputs = 4 * stage_width if bottleneck else stage_width
            self.add_module(f"res{stage + 2}", nn.Sequential(*chain))

    def forward(
        self, frame: Tensor, mask: Tensor | None = None, others: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns r2, r3, r4 of frames (N, 3, H, W) in [0, 1]; masks are (N, 1, H, W)."""
        stem = self.conv1((frame - self.mean) / self.std)
        if mask is not None:
            stem = stem + self.conv1_m(mask) + self.conv1_o(others)
        stem = F.max_pool2d(F.relu(self.bn1(stem)), kernel_size=3, stride=2, padding=1)
        r2 = self.res2(stem)
        r3 = self.res3(r2)
        return r2, r3, self.res4(r3)


class KeyValue(nn.Module):
    """Two 3x3 convolutions of r4 side by side."""

    def __init__(self, inputs: int, key_channels: int, value_channels: int):
        super().__init__()
        self.Key = conv(inputs, key_channels, 3, bias=True)
        self.Value = conv(inputs, value_channels, 3, bias=True)

    def forward(self, r4: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys (N, K, h, w) and values (N, V, h, w)."""
        return self.Key(r4), self.Value(r4)


class Residual(nn.Module):
    """x + conv(relu(conv(relu(x)))), without norm."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = conv(width, width, 3, bias=True)
        self.conv2 = conv(width, width, 3, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, width, H, W) to the same shape."""
        return features + self.conv2(F.relu(self.conv1(F.relu(features))))


def enlarge(features: Tensor, factor: int) -> Tensor:
    """Enlarges bilinearly."""
    return F.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)


class Refine(nn.Module):
    """Brings a skip into what comes from below."""

    def __init__(self, skip_channels: int, width: int, below: int):
        super().__init__()
        if below != width:
            self.convBelow = conv(below, width, 1)
        self.convFS = conv(skip_channels, width, 3, bias=True)
        self.ResFS = Residual(width)
        self.ResMM = Residual(width)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Skip (1, C, H, W) and below (objects, below, H / 2, W / 2) to (objects, width, H, W)."""
        if hasattr(self, "convBelow"):
            below = self.convBelow(below)
        # The skip has batch 1 and is broadcast: it does not depend on the object.
        return self.ResMM(self.ResFS(self.convFS(skip)) + enlarge(below, 2))


class Decoder(nn.Module):
    """The refinement decoder of RGMP (Oh et al., CVPR 2018)."""

    def __init__(self, r4_channels: int, read_channels: int, width: int, last_width: int):
        super().__init__()
        self.convFM = conv(read_channels, width, 3, bias=True)
        self.ResMM = Residual(width)
        self.RF3 = Refine(r4_channels // 2, width, width)
        self.RF2 = Refine(r4_channels // 4, last_width, width)
        self.pred2 = conv(last_width, 2, 3, bias=True)

    def forward(self, read: Tensor, r3: Tensor, r2: Tensor) -> Tensor:
        """Returns logits (objects, 2, H, W), of "not this object" and "this object"."""
        features = self.RF3(r3, self.ResMM(self.convFM(read)))
        features = self.RF2(r2, features)
        return enlarge(self.pred2(F.relu(features)), 4)


def read_memory(
    keys: Tensor, values: Tensor, query_key: Tensor, query_value: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns [memory value, query value] (objects, 2 V, h, w) and the affinity.

    keys (objects, K, T, h, w), values (objects, V, T, h, w), query_key (1, K, h, w),
    query_value (1, V, h, w); affinity (objects, T h w, h w) sums to 1 over its axis 1.
    """
    objects, value_channels = values.shape[:2]
    scores = keys.flatten(2).transpose(1, 2) @ query_key.flatten(2) / keys.shape[1] ** 0.5
    affinity = scores.softmax(dim=1)
    value = (values.flatten(2) @ affinity).reshape(objects, value_channels, *query_key.shape[2:])
    return torch.cat([value, query_value.expand_as(value)], dim=1), affinity


def aggregate(logits: Tensor) -> Tensor:
    """Soft aggregation: (objects, 2, H, W) to logits over background and objects (1 + objects)."""
    p = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(dim=1)[:, 1]
    p = torch.cat([torch.prod(1 - p, dim=0, keepdim=True), p]).clamp(1e-7, 1 - 1e-7)
    return torch.log(p / (1 - p))


def pad_to_16(images: Tensor) -> tuple[Tensor, tuple[slice, slice]]:
    """Pads height and width (the last two axes) with zeros; returns also the way back."""
    height, width = images.shape[-2:]
    extra_y, extra_x = -height % 16, -width % 16
    top, left = extra_y // 2, extra_x // 2
    padded = F.pad(images, (left, extra_x - left, top, extra_y - top))
    return padded, (slice(top, top + height), slice(left, left + width))


class STM(nn.Module):
    """The whole network; the default is the paper's."""

    def __init__(self, config: ModelConfig = STM_R50):
        super().__init__()
        trunk = (config.bottleneck, config.blocks, config.width)
        r4_channels, value = config.stage_channels[2], config.value_channels
        self.Encoder_M = Encoder(*trunk, masks=True)
        self.Encoder_Q = Encoder(*trunk, masks=False)
        self.KV_M_r4 = KeyValue(r4_channels, config.key_channels, value)
        self.KV_Q_r4 = KeyValue(r4_channels, config.key_channels, value)
        self.Decoder = Decoder(r4_channels, 2 * value, config.decoder_width, config.last_channels)
        self.eval()

    def memorize(self, frame: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Returns key (objects, K, h, w) and value (objects, V, h, w) of a frame.

        frame (3, H, W) in [0, 1]; masks (objects, H, W) in [0, 1], without the background.
        """
        frame, _ = pad_to_16(frame)
        masks, _ = pad_to_16(masks)
        masks = masks[:, None]
        others = [
            torch.cat([masks[:i], masks[i + 1 :]]).sum(dim=0).clamp(0, 1) for i in range(len(masks))
        ]
        frames = frame.expand(len(masks), -1, -1, -1)
        _, _, r4 = self.Encoder_M(frames, masks, torch.stack(others))
        return self.KV_M_r4(r4)

    def segment(
        self, frame: Tensor, keys: Tensor, values: Tensor, *, skips_each: bool = False
    ) -> Tensor:
        """Returns logits (1 + objects, H, W), background first, of a frame (3, H, W) in [0, 1].

        keys (objects, K, T, h, w), values (objects, V, T, h, w): memorised frames, stacked.
        `skips_each` computes the skips for each object, as the original implementation does.
        """
        padded, crop = pad_to_16(frame)
        r2, r3, r4 = self.Encoder_Q(padded[None])
        if skips_each:
            r2, r3 = (each.expand(len(keys), -1, -1, -1) for each in (r2, r3))
        read, _ = read_memory(keys, values, *self.KV_Q_r4(r4))
        return aggregate(self.Decoder(read, r3, r2))[:, *crop]


def as_images(model: STM, frames: np.ndarray) -> Tensor:
    """Turns (T, H, W, 3) uint8 into (T, 3, H, W) in [0, 1], of the model's type and device."""
    return torch.as_tensor(frames).permute(0, 3, 1, 2).to(model.Encoder_Q.conv1.weight) / 255


def one_hot(ids: np.ndarray, channels: int) -> Tensor:
    """Turns ids (H, W) into planes (channels, H, W), int64."""
    return F.one_hot(torch.as_tensor(ids).long(), channels).movedim(-1, 0)


@torch.no_grad()
def segment_clip(
    model: STM, frames_uint8: np.ndarray, first_mask: np.ndarray, memorize_every: int
) -> Tensor:
    """Returns probabilities (1 + objects, T, H, W); frame 0 is the given mask.

    frames_uint8 (T, H, W, 3) RGB; first_mask (H, W) with ids 0 (background), 1, ..., objects.
    """
    frames = as_images(model, frames_uint8)
    probabilities = [one_hot(first_mask, int(first_mask.max()) + 1).to(frames)]
    kept: list[tuple[Tensor, Tensor]] = []
    for t in range(1, len(frames)):
        previous = model.memorize(frames[t - 1], probabilities[-1][1:])
        keys, values = (torch.stack(part, dim=2) for part in zip(*kept, previous, strict=True))
        if (t - 1) % memorize_every == 0:
            kept.append(previous)
        probabilities.append(model.segment(frames[t], keys, values).softmax(dim=0).to(frames))
    return torch.stack(probabilities, dim=1)


def clip_loss(model: STM, frames: np.ndarray, masks: np.ndarray) -> Tensor:
    """Returns the training loss of three frames (3, H, W, 3) uint8 with ids (3, H, W).

    Cross-entropy on the aggregated logits, mean over pixels and over frames 2 and 3; frame 3
    is read from frame 1 with its true mask and frame 2 with its soft mask, gradients included.
    Objects are 1 to the largest id of the first mask.
    """
    images = as_images(model, frames)
    truth = torch.as_tensor(masks).long().to(images.device)
    first = model.memorize(images[0], one_hot(masks[0], int(masks[0].max()) + 1).to(images)[1:])
    logits_2 = model.segment(images[1], *(part.unsqueeze(2) for part in first))
    second = model.memorize(images[1], logits_2.softmax(dim=0)[1:].to(images))
    both = (torch.stack(pair, dim=2) for pair in zip(first, second, strict=True))
    logits_3 = model.segment(images[2], *both)
    return F.cross_entropy(torch.stack([logits_2, logits_3]), truth[1:])
