"""Where the keys start: at the directions in which the trunk's features differ most."""

from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from stm_jax.nn.model import Model
from stm_jax.nn.stm import STM, query

SHARPNESS = 2.0
"""Of the affinity of a position with itself, over sqrt(key channels); the network's own draw has
a tenth of it, and a query then attends to half of the memory."""
WHITENING = 0.75
"""0 keeps the directions' own spread, 1 makes it equal."""


def start_keys(model: Model, frames: UInt8[np.ndarray, "n size size 3"]) -> Model:
    """Returns the model with key convolutions that tell the frames' positions apart.

    A random convolution keeps little of what ImageNet features know of likeness, and a dot
    product of small keys is close to a mean over the whole memory. Here a key is the
    projection of r4 on its principal components, nearly whitened (data-dependent
    initialisation, Kraehenbuehl et al., ICLR 2016). The memory's keys and the query's start
    equal, as the trunks do.

    Args:
        model: A model whose two trunks are the same.
        frames: Frames to take the statistics from; a few dozen will do.
    """
    network = STM(model.config)

    @jax.jit
    def r4(frame: jax.Array) -> jax.Array:
        return query(network, model.variables, frame[None].astype(jnp.float32) / 255)[0].r4

    features = np.concatenate([np.asarray(r4(frame), np.float64) for frame in frames])
    features = features.reshape(-1, features.shape[-1])  # (positions, r4)
    mean = features.mean(axis=0)
    spread, directions = np.linalg.eigh(np.cov((features - mean).T))
    channels = model.config.key_channels
    spread, directions = spread[::-1][:channels], directions[:, ::-1][:, :channels]
    spread = np.maximum(spread, 1e-6 * spread[0])
    projection = directions * spread ** (-WHITENING / 2)
    variance = np.mean(spread ** (1 - WHITENING))
    projection *= np.sqrt(SHARPNESS / variance)

    flat: dict[str, Any] = {**flax.traverse_util.flatten_dict(model.variables, sep="/")}
    kernel = np.zeros(flat["params/query_head/key/conv/kernel"].shape, np.float32)
    kernel[1, 1] = projection  # the middle of 3x3
    for head in ("query_head", "memory_head"):
        flat[f"params/{head}/key/conv/kernel"] = jnp.array(kernel)
        flat[f"params/{head}/key/bias"] = jnp.array(-mean @ projection, jnp.float32)
    return Model(model.config, flax.traverse_util.unflatten_dict(flat, sep="/"))
