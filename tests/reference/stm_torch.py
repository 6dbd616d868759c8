"""The PyTorch twin that the tests hold our network against, and its training loss.

The network itself is in the package, for users compare with it too: `stm-jax convert --verify`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stm_jax.convert.torch_twin import (
    STM,
    Decoder,
    Encoder,
    FrozenBatchNorm,
    KeyValue,
    Refine,
    Residual,
    TrunkBlock,
    aggregate,
    as_images,
    conv,
    enlarge,
    one_hot,
    pad_to_16,
    read_memory,
    segment_clip,
)

__all__ = [
    "STM",
    "Decoder",
    "Encoder",
    "FrozenBatchNorm",
    "KeyValue",
    "Refine",
    "Residual",
    "TrunkBlock",
    "aggregate",
    "as_images",
    "clip_loss",
    "conv",
    "enlarge",
    "one_hot",
    "pad_to_16",
    "read_memory",
    "segment_clip",
]


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
